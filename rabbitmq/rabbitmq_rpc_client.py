"""RPC, client: asks for the metadata of a track and waits for the reply.

    client --> [ track_metadata ] --> server     title, reply_to, correlation_id
    client <-- [ reply queue ] <----- server     metadata, correlation_id

Run each line in its own terminal tab:

    python rabbitmq_rpc_server.py
    python rabbitmq_rpc_client.py
    python rabbitmq_rpc_client.py "Lost Song"

The client waits five seconds in all, then gives up: without a deadline it would
wait for ever for a server that is not there.
"""

import os
import sys
import time
import uuid

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

DEADLINE = 5  # seconds for the whole wait


def main():
    title = " ".join(sys.argv[1:]) or "Night Train"
    request_id = str(uuid.uuid4())
    replies = []

    def receive(channel, method, properties, body):
        # Any other id belongs to a reply that is not for this request.
        if properties.correlation_id == request_id:
            replies.append((properties.type, body.decode(errors="replace")))

    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.queue_declare("track_metadata", durable=True)
        reply_queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_consume(reply_queue, receive, auto_ack=True)
        request = pika.BasicProperties(
            reply_to=reply_queue,
            correlation_id=request_id,
            # Without it, a server that comes later works for a client that has left.
            expiration=str(DEADLINE * 1000),  # milliseconds
        )
        deadline = time.monotonic() + DEADLINE
        channel.basic_publish("", "track_metadata", title.encode(), request)
        print(f"Requested {title}")
        # One call is not enough: it returns at the first event, also a wrong reply.
        while not replies and (left := deadline - time.monotonic()) > 0:
            connection.process_data_events(time_limit=left)

    if not replies:
        sys.exit(
            f"No reply within {DEADLINE} seconds. Is rabbitmq_rpc_server.py running?"
        )
    kind, text = replies[0]
    if kind == "error":
        sys.exit(text)
    print(f"Received {title}: {text}")


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
