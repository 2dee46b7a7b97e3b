"""Dead letter, reader: shows what has failed, why, and where.

    producer --+--> [ uploads ] --> consumer --- rejected --+
               +--> [ live_requests ] --------- expired ----+--> ( dead_letters )
               +--> [ latest_hits ] ----------- too many ---+          |
                                               reader <-- [ dead_letters ]

Run each line in its own terminal tab:

    python rabbitmq_dead_letter_reader.py
    python rabbitmq_dead_letter_consumer.py
    python rabbitmq_dead_letter_producer.py

RabbitMQ writes the header x-death. Here it is only shown; in a service somebody
would look at these messages, mend the cause, and send them again.
"""

import os
import sys

import pika
from dotenv import load_dotenv
from pika.adapters.utils.connection_workflow import AMQPConnectorException

load_dotenv()
URLS = os.getenv("RABBITMQ_URLS", "amqp://guest:guest@localhost:5672/%2F").split(",")
try:
    NODES = [pika.URLParameters(url.strip()) for url in URLS]
except (IndexError, TypeError, ValueError):
    sys.exit("RABBITMQ_URLS is malformed. Write it as .env.example does.")
HOSTS = ", ".join(f"{node.host}:{node.port}" for node in NODES)
for node in NODES:
    node.socket_timeout = node.stack_timeout = 4  # seconds until a silent port fails


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.exchange_declare("dead_letters", "fanout", durable=True)
        channel.queue_declare("dead_letters", durable=True)
        channel.queue_bind("dead_letters", "dead_letters")
        channel.basic_consume("dead_letters", show)
        print("Waiting for dead letters. Press Ctrl-C to stop.")
        channel.start_consuming()
        sys.exit("RabbitMQ ended the subscription: queue dead_letters was deleted.")


def show(channel, method, properties, body):
    text = body.decode(errors="replace")
    # The latest death comes first. A message that somebody sent here has none.
    deaths = (properties.headers or {}).get("x-death")
    if deaths:
        print(f"Read {text}: {deaths[0]['reason']} in {deaths[0]['queue']}")
    else:
        print(f"Read {text}: no dead letter, sent here")
    channel.basic_ack(method.delivery_tag)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except pika.exceptions.ChannelClosedByBroker as error:
        sys.exit(f"{HOSTS}: {error.reply_text}. Try: python -m lab reset rabbitmq")
    except (pika.exceptions.AMQPError, AMQPConnectorException, OSError) as error:
        why = type(error).__name__
        sys.exit(f"RabbitMQ at {HOSTS}: {why}. Try: python -m lab status rabbitmq")
