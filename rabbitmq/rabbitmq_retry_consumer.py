"""Retry, consumer: tries again, each time after a longer wait.

    producer --> [ downloads ] --> consumer --- failed --> [ downloads_wait_1s ] ---+
                       ^                           +-----> [ downloads_wait_2s ] ---+
                       +--- after its time, as a dead letter -----------------------+

Run each line in its own terminal tab:

    python rabbitmq_dead_letter_reader.py
    python rabbitmq_retry_consumer.py
    python rabbitmq_retry_producer.py

A message that has waited in one of the two queues expires and is dead-lettered
into downloads again. The worker is free for others in the meantime.
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

WAITS = [1, 2]  # seconds before the second and the third attempt


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.queue_declare("dead_letters", durable=True)
        dead = dead_letter_to("dead_letters")
        channel.queue_declare("downloads", durable=True, arguments=dead)
        for wait in WAITS:
            queue = f"downloads_wait_{wait}s"
            timed = dead_letter_to("downloads") | {"x-message-ttl": wait * 1000}
            channel.queue_declare(queue, durable=True, arguments=timed)
        channel.confirm_delivery()
        channel.basic_consume("downloads", download)
        print("Waiting for downloads. Press Ctrl-C to stop.")
        channel.start_consuming()
        sys.exit("RabbitMQ ended the subscription: queue downloads was deleted.")


def dead_letter_to(queue):
    # The exchange "" leads straight to the queue that the routing key names.
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}


def download(channel, method, properties, body):
    text = body.decode(errors="replace")
    attempt = (properties.headers or {}).get("attempt", 1)
    print(f"Downloading {text}, attempt {attempt}")
    if text.startswith("track") or (text.startswith("flaky") and attempt == 3):
        channel.basic_ack(method.delivery_tag)
        print(f"Finished {text}")
    elif attempt <= len(WAITS):
        wait = WAITS[attempt - 1]
        later = pika.BasicProperties(headers={"attempt": attempt + 1}, delivery_mode=2)
        # In this order a crash in between leaves two messages, in the other none.
        channel.basic_publish("", f"downloads_wait_{wait}s", body, later)
        channel.basic_ack(method.delivery_tag)
        print(f"Failed {text}, next attempt in {wait} s")
    else:
        channel.basic_reject(method.delivery_tag, requeue=False)
        print(f"Gave up {text}")


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
