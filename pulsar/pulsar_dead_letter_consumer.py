"""Dead letter, consumer: rejects what it cannot encode, three times.

    producer --+--> [ uploads ] --> consumer --- rejected ---> [ dead_letters ]
               +--> [ live_requests ] --- expired ---> gone           |
               +--> [ latest_hits ] ----- too many --> gone           +--> reader

Run each line in its own terminal tab:

    python pulsar_dead_letter_reader.py
    python pulsar_dead_letter_consumer.py
    python pulsar_dead_letter_producer.py

Pulsar counts the redeliveries, the client library looks at the count: what would be
delivered a fourth time, it sends to dead_letters and acknowledges.
"""

import os
import sys

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


def main():
    client = pulsar.Client(URL, **OPTIONS)
    consumer = client.subscribe(
        "uploads",
        "upload_encoders",
        # An exclusive subscription, the default, would never have a dead letter.
        pulsar.ConsumerType.Shared,
        receiver_queue_size=1,
        initial_position=pulsar.InitialPosition.Earliest,
        dead_letter_policy=pulsar.ConsumerDeadLetterPolicy(
            max_redeliver_count=2,
            dead_letter_topic="dead_letters",
            # Without it, a dead letter may be deleted before a reader comes.
            initial_subscription_name="dead_letter_readers",
        ),
        negative_ack_redelivery_delay_ms=500,  # a minute if unset
    )
    print("Waiting for uploads. Press Ctrl-C to stop.")
    for message in receive(client, consumer):
        upload = message.data().decode(errors="replace")
        if upload.startswith("track"):
            consumer.acknowledge(message)
            print(f"Encoded {upload}")
        else:
            # It comes back after half a second; until then others get their turn.
            consumer.negative_acknowledge(message)
            print(f"Rejected {upload}, attempt {message.redelivery_count() + 1}")


def receive(client, consumer):
    while True:
        try:
            yield consumer.receive(timeout_millis=500)
        except pulsar.Timeout:
            # receive() would wait for ever for a Pulsar that is gone. This fails then.
            client.get_topic_partitions(consumer.topic())


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
