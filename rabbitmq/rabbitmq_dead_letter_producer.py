"""Dead letter, producer: sends messages that will fail in three ways.

    producer --+--> [ uploads ] --> consumer --- rejected --+
               +--> [ live_requests ] --------- expired ----+--> ( dead_letters )
               +--> [ latest_hits ] ----------- too many ---+          |
                                               reader <-- [ dead_letters ]

Run each line in its own terminal tab:

    python rabbitmq_dead_letter_reader.py
    python rabbitmq_dead_letter_consumer.py
    python rabbitmq_dead_letter_producer.py

uploads has a consumer that rejects what is broken. The other two have none: what
waits two seconds in live_requests expires, and latest_hits keeps only two.
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

# What each queue does with a message that it gives up: hand it to the exchange.
DEAD = {"x-dead-letter-exchange": "dead_letters"}
QUEUES = {
    "uploads": DEAD,
    "live_requests": {**DEAD, "x-message-ttl": 2000},  # milliseconds
    "latest_hits": {**DEAD, "x-max-length": 2},
}
MESSAGES = [
    ("uploads", "track 1"),
    ("uploads", "broken track 2"),
    ("live_requests", "request 3"),
    ("latest_hits", "hit 4"),
    ("latest_hits", "hit 5"),
    ("latest_hits", "hit 6"),
]


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        # All of it first: without a bound queue the exchange would drop dead letters.
        channel.exchange_declare("dead_letters", "fanout", durable=True)
        channel.queue_declare("dead_letters", durable=True)
        channel.queue_bind("dead_letters", "dead_letters")
        for queue, arguments in QUEUES.items():
            channel.queue_declare(queue, durable=True, arguments=arguments)
        channel.confirm_delivery()
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        for queue, text in MESSAGES:
            channel.basic_publish("", queue, text.encode(), persistent)
            print(f"Sent {text} to {queue}")


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
