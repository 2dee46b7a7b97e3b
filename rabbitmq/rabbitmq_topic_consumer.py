"""Topic, consumer: gets the messages whose key fits its patterns.

                                music.rock.* +--> [ queue ] --> consumer 1
    producer --> ( catalogue ) --------------+
                  topic exchange           # +--> [ queue ] --> consumer 2

Run each line in its own terminal tab:

    python rabbitmq_topic_consumer.py "music.rock.*"
    python rabbitmq_topic_consumer.py "#"
    python rabbitmq_topic_producer.py

* stands for exactly one word, # for any number, also none. Keep the quotes: the
shell has a meaning of its own for both. Without an argument: "#", everything.
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
    patterns = sys.argv[1:] or ["#"]
    if max(len(pattern.encode()) for pattern in patterns) > 255:
        print(
            f'Usage: python {sys.argv[0]} ["music.rock.*"] ["#"] ...', file=sys.stderr
        )
        sys.exit(2)
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.exchange_declare("catalogue", "topic", durable=True)
        queue = channel.queue_declare("", exclusive=True).method.queue
        for pattern in patterns:
            # A message that fits two patterns of one queue is still delivered once.
            channel.queue_bind(queue, "catalogue", routing_key=pattern)
        # auto_ack: nobody else would get the message if this consumer died.
        channel.basic_consume(queue, receive, auto_ack=True)
        print(f"Waiting for {', '.join(patterns)}. Press Ctrl-C to stop.")
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
