"""Multitenancy, producer: sends payouts to two record labels, each of them a tenant.

    producer --+--> [ harbour/accounting/payouts ] --> consumer of harbour
               +--> [ meadow/accounting/payouts ]  --> consumer of meadow

Run each line in its own terminal tab:

    python pulsar_multi_tenancy_consumer.py harbour
    python pulsar_multi_tenancy_consumer.py meadow
    python pulsar_multi_tenancy_producer.py

A topic belongs to a namespace, and a namespace to a tenant. Topics of two tenants may
have the same name. Policies are set for a namespace: meadow may have one topic only.
"""

import json
import os
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pulsar
from dotenv import load_dotenv

load_dotenv()
URL = os.getenv("PULSAR_SERVICE_URL", "pulsar://localhost:6650")
SERVERS = URL.partition("://")[2]
if not all(server.rpartition(":")[2].isdecimal() for server in SERVERS.split(",")):
    sys.exit("PULSAR_SERVICE_URL is malformed. Write it as .env.example does.")
# Four seconds until a Pulsar that is down or silent fails, instead of thirty.
OPTIONS = {"operation_timeout_seconds": 4, "connection_timeout_ms": 4000}
# The client's own log goes nowhere: what goes wrong is said once, at the end.
OPTIONS["logger"] = pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull)
ADMIN_URL = os.getenv("PULSAR_ADMIN_URL", "http://localhost:8080")
if not ADMIN_URL.partition("://")[2].rpartition(":")[2].isdecimal():
    sys.exit("PULSAR_ADMIN_URL is malformed. Write it as .env.example does.")


def main():
    client = pulsar.Client(URL, **OPTIONS)
    client.get_topic_partitions("any")  # fails at once where Pulsar is down
    for tenant, numbers in {"harbour": (1, 2), "meadow": (3, 4)}.items():
        make_tenant(tenant)
        topic = f"persistent://{tenant}/accounting/payouts"
        # Without a subscription, what is sent before a consumer comes may be deleted.
        client.subscribe(topic, "finance", pulsar.ConsumerType.Shared).close()
        producer = client.create_producer(topic, send_timeout_millis=4000)
        for number in numbers:
            producer.send(f"payout {number}".encode())
            print(f"Sent payout {number} to {tenant}")
    # A policy counts for all of a namespace. By default there is no such limit.
    admin("POST", "namespaces/meadow/accounting/maxTopicsPerNamespace", 1)
    for tenant in "harbour", "meadow", "west":
        topic = f"{tenant}/accounting/bonuses"
        try:
            client.create_producer(f"persistent://{topic}")
            print(f"Opened {topic}")
        except (pulsar.NotAllowedError, pulsar.TopicNotFound) as error:
            print(f"Refused {topic}: {type(error).__name__}")


def make_tenant(tenant):
    create(f"tenants/{tenant}", {"allowedClusters": admin("GET", "clusters")})
    create(f"namespaces/{tenant}/accounting", {})


def create(path, body):
    try:
        admin("PUT", path, body)
    except HTTPError as error:
        if error.code != 409:  # it is there already: whoever comes first creates it
            raise


def admin(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = Request(f"{ADMIN_URL}/admin/v2/{path}", data, headers, method=method)
    with urlopen(request, timeout=8) as answer:
        return json.loads(answer.read() or "null")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
