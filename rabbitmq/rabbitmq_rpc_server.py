"""RPC, server: looks up tracks for others and sends each the answer.

    client --> [ track_metadata ] --> server     title, reply_to, correlation_id
    client <-- [ reply queue ] <----- server     metadata, correlation_id

Run each line in its own terminal tab:

    python rabbitmq_rpc_server.py
    python rabbitmq_rpc_client.py
    python rabbitmq_rpc_client.py "Lost Song"

The server knows no client: each request says where its reply goes. Start a second
server, and the two share the requests.
"""

import os
import sys
import time

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

TRACKS = {
    "Night Train": "The Sleepers, album Last Stop, 245 seconds",
    "Harbour Lights": "Salt and Tar, album Low Tide, 198 seconds",
}


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.queue_declare("track_metadata", durable=True)
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume("track_metadata", answer)
        print("Waiting for requests. Press Ctrl-C to stop.")
        channel.start_consuming()
        sys.exit("RabbitMQ ended the subscription: queue track_metadata was deleted.")


def answer(channel, method, properties, body):
    title = body.decode(errors="replace")
    print(f"Looking up {title}")
    time.sleep(1)  # stands for the work
    if title in TRACKS:
        kind, text = "metadata", TRACKS[title]
    else:
        # Left without an answer, the client would wait until its deadline.
        kind, text = "error", f"Unknown track: {title}"
    # The correlation id goes back as it came: by it the client knows its reply.
    reply = pika.BasicProperties(correlation_id=properties.correlation_id, type=kind)
    if properties.reply_to:
        channel.basic_publish("", properties.reply_to, text.encode(), reply)
    channel.basic_ack(method.delivery_tag)
    print(f"Answered {title}")


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
