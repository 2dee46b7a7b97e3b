"""Multitenancy, consumer: gets the payouts of one record label, a tenant.

    producer --+--> [ harbour/accounting/payouts ] --> consumer of harbour
               +--> [ meadow/accounting/payouts ]  --> consumer of meadow

Run each line in its own terminal tab:

    python pulsar_multi_tenancy_consumer.py harbour
    python pulsar_multi_tenancy_consumer.py meadow
    python pulsar_multi_tenancy_producer.py

Both have a topic and a subscription of the same names, and each gets the payouts of its
own label only.
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
    tenant = " ".join(sys.argv[1:]) or "harbour"
    if tenant not in ("harbour", "meadow"):
        print(
            "Usage: pulsar_multi_tenancy_consumer.py [harbour|meadow]", file=sys.stderr
        )
        sys.exit(2)
    client = pulsar.Client(URL, **OPTIONS)
    client.get_topic_partitions("any")  # fails at once where Pulsar is down
    # A topic is made when somebody wants it. Its tenant and its namespace are not.
    make_tenant(tenant)
    topic = f"persistent://{tenant}/accounting/payouts"
    consumer = client.subscribe(topic, "finance", pulsar.ConsumerType.Shared)
    print(f"Waiting for payouts of {tenant}. Press Ctrl-C to stop.")
    for message in receive(client, consumer):
        print(f"Paid {message.data().decode(errors='replace')}")
        consumer.acknowledge(message)


def receive(client, consumer):
    while True:
        try:
            yield consumer.receive(timeout_millis=500)
        except pulsar.Timeout:
            # receive() would wait for ever for a Pulsar that is gone. This fails then.
            client.get_topic_partitions(consumer.topic())


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
