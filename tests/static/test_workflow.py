""".github/workflows: valid, and in agreement with the Makefile and what is promised."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from ruamel.yaml import YAML

from lab.broker import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
JOBS = {
    (path.stem, name): job
    for path in WORKFLOWS
    for name, job in YAML(typ="safe").load(path)["jobs"].items()
}
every_job = pytest.mark.parametrize("job", JOBS.values(), ids=map("/".join, JOBS))


def steps(key: str) -> Iterator[str]:
    """What all steps have under this key."""
    return (step[key] for job in JOBS.values() for step in job["steps"] if key in step)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_it_is_valid(path):
    """By the schema of GitHub's workflows, which check-jsonschema carries."""
    schema = ("--builtin-schema", "vendor.github-workflows")
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, str(path)],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


def test_it_runs_targets_that_are_there():
    targets = re.findall(r"^([\w.-]+):", (ROOT / "Makefile").read_text(), re.M)
    run = {found for text in steps("run") for found in re.findall(r"make (\S+)", text)}
    assert run
    assert run <= set(targets)


@every_job
def test_a_job_ends(job):
    """By itself GitHub would stop it after six hours."""
    assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_it_may_only_read(path):
    assert YAML(typ="safe").load(path)["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in JOBS.values())


@pytest.mark.parametrize("action", sorted(set(steps("uses"))))
def test_an_action_has_its_major_version(action):
    assert re.fullmatch(r"actions/[\w-]+@v\d+", action)


def test_it_runs_the_oldest_python_that_is_allowed():
    oldest = re.search(
        r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text()
    )[1]
    assert oldest in JOBS["ci", "test"]["strategy"]["matrix"]["python"]
