"""Dead letter, consumer: rejects what it cannot encode.

    producer --+--> [ uploads ] --> consumer --- rejected --+
               +--> [ live_requests ] --------- expired ----+--> ( dead_letters )
               +--> [ latest_hits ] ----------- too many ---+          |
                                               reader <-- [ dead_letters ]

Run each line in its own terminal tab:

    python rabbitmq_dead_letter_reader.py
    python rabbitmq_dead_letter_consumer.py
    python rabbitmq_dead_letter_producer.py

A rejected message is not lost and does not come back here: RabbitMQ moves it to
the queue dead_letters, with a header that says why and where it came from.
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
        # All of it first: without a bound queue the exchange would drop dead letters.
        channel.exchange_declare("dead_letters", "fanout", durable=True)
        channel.queue_declare("dead_letters", durable=True)
        channel.queue_bind("dead_letters", "dead_letters")
        dead = {"x-dead-letter-exchange": "dead_letters"}
        channel.queue_declare("uploads", durable=True, arguments=dead)
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume("uploads", encode)
        print("Waiting for uploads. Press Ctrl-C to stop.")
        channel.start_consuming()
        sys.exit("RabbitMQ ended the subscription: queue uploads was deleted.")


def encode(channel, method, properties, body):
    upload = body.decode(errors="replace")
    if upload.startswith("track"):
        channel.basic_ack(method.delivery_tag)
        print(f"Encoded {upload}")
    else:
        # With requeue=True it would come back at once, again and again.
        channel.basic_reject(method.delivery_tag, requeue=False)
        print(f"Rejected {upload}")


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
