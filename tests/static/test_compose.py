"""docker-compose.yml: valid, and in agreement with what the lab knows."""

import subprocess
import sys

import pytest
from dotenv import dotenv_values
from ruamel.yaml import YAML

from lab.broker import ROOT
from lab.brokers import BROKERS

COMPOSE = ROOT / "docker-compose.yml"
DESCRIBED = YAML(typ="safe").load(COMPOSE)
SERVICES = DESCRIBED["services"]


def test_it_is_valid():
    """By the schema of the Compose Specification, which check-jsonschema carries."""
    checked = subprocess.run(
        [
            sys.executable, "-m", "check_jsonschema",
            "--builtin-schema", "vendor.compose-spec", str(COMPOSE),
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_each_service_belongs_to_a_broker():
    named = [service for broker in BROKERS.values() for service in broker.services]
    assert sorted(named) == sorted(SERVICES)


@pytest.mark.parametrize("name", BROKERS)
def test_ports_are_the_labs_and_on_loopback(name):
    broker = BROKERS[name]
    published = [port for s in broker.services for port in SERVICES[s]["ports"]]
    for port in broker.ports:
        outside = f"${{{port.setting}:-{port.default}}}"
        # Pulsar and RocketMQ listen inside on the port that they have outside.
        wanted = {f"127.0.0.1:{outside}:{inside}" for inside in (outside, port.default)}
        assert wanted & set(published)
    assert len(published) == len(broker.ports)


@pytest.mark.parametrize("service", SERVICES)
def test_pinned_checked_and_kept(service):
    """A version, a health check, and a volume of its own for the data."""
    described = SERVICES[service]
    assert described["image"].rpartition(":")[2][0].isdigit()
    assert described["healthcheck"]["test"]
    own = [v for v in described["volumes"] if v.split(":")[0] in DESCRIBED["volumes"]]
    assert len(own) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_mounted_files_are_there(service):
    """Docker would make a folder of each that is missing."""
    for volume in SERVICES[service]["volumes"]:
        source = volume.split(":")[0]
        assert source in DESCRIBED["volumes"] or (ROOT / source).is_file()


def test_activemqs_console_logs_in_to_the_broker():
    """Which no stand-in for the image shows: its pages come from the broker, by JMS."""
    config = ROOT / "config/activemq"
    console = dotenv_values(config / "credentials.properties")
    user, password = console["activemq.username"], console["activemq.password"]
    named = f'username="{user}" password="{password}"'
    assert named in (config / "broker.xml").read_text()
