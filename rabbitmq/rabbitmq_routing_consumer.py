"""Routing, consumer: gets only the severities it asks for.

                                 error, critical +--> [ queue ] --> consumer 1
    producer --> ( service_logs ) ---------------+
                  direct exchange           info +--> [ queue ] --> consumer 2

Run each line in its own terminal tab:

    python rabbitmq_routing_consumer.py error critical
    python rabbitmq_routing_consumer.py info
    python rabbitmq_routing_producer.py

Without an argument it gets all severities. RabbitMQ does the sorting: what a
consumer did not ask for never reaches it.
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

SEVERITIES = ["info", "warning", "error", "critical"]


def main():
    wanted = sys.argv[1:] or SEVERITIES
    if not set(wanted) <= set(SEVERITIES):
        print(
            f"Usage: python {sys.argv[0]} [{'] ['.join(SEVERITIES)}]", file=sys.stderr
        )
        sys.exit(2)
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.exchange_declare("service_logs", "direct", durable=True)
        queue = channel.queue_declare("", exclusive=True).method.queue
        for severity in wanted:
            # One binding each: a direct exchange compares the whole key, no patterns.
            channel.queue_bind(queue, "service_logs", routing_key=severity)
        # auto_ack: nobody else would get the message if this consumer died.
        channel.basic_consume(queue, receive, auto_ack=True)
        print(f"Waiting for {', '.join(wanted)}. Press Ctrl-C to stop.")
        channel.start_consuming()


def receive(channel, method, properties, body):
    print(f"Received {method.routing_key}: {body.decode(errors='replace')}")


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
