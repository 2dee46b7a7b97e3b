"""RabbitMQ: where its server comes from, how it is started, asked and cleaned."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from lab import web
from lab.broker import (
    Broker,
    Content,
    Endpoint,
    LabError,
    Port,
    Process,
    Thing,
    Unavailable,
)
from lab.libraries import Library
from lab.software import SystemProgram

pika = Library("pika", "rabbitmq")

TIMEOUT = 4  # seconds, for each address of a host


def nodes(settings: Mapping[str, str]) -> list[pika.URLParameters]:
    """The nodes that RABBITMQ_URLS lists. Raises LabError when it is malformed."""
    try:
        parameters = [
            pika.URLParameters(url.strip())
            for url in settings["RABBITMQ_URLS"].split(",")
        ]
    except (IndexError, TypeError, ValueError):
        # The URL stays out of the message: it may hold a password.
        raise LabError(
            "RABBITMQ_URLS is malformed. Write it as .env.example does."
        ) from None
    for node in parameters:
        node.socket_timeout = node.stack_timeout = TIMEOUT
    return parameters


def endpoints(settings: Mapping[str, str]) -> list[Endpoint]:
    return [Endpoint(node.host, node.port) for node in nodes(settings)]


def connect(settings: Mapping[str, str]) -> pika.BlockingConnection:
    """A connection to the first node that answers. Raises Unavailable with the why."""
    parameters = nodes(settings)
    where = ", ".join(map(str, endpoints(settings)))
    # pika reports the last node it tried.
    last = parameters[-1]
    try:
        return pika.BlockingConnection(parameters)
    except socket.gaierror:
        raise Unavailable(
            f"the host name {last.host} is unknown. Mend RABBITMQ_URLS in .env."
        ) from None
    except pika.adapters.utils.connection_workflow.AMQPConnectorStackTimeout:
        raise Unavailable(
            f"something listens on {where} but does not speak AMQP. "
            "Is the port right? AMQP is 5672, the management page 15672."
        ) from None
    except pika.exceptions.ProbableAuthenticationError:
        raise Unavailable(
            f"{where} refuses the login of user {last.credentials.username}. "
            "Mend user and password in RABBITMQ_URLS."
        ) from None
    except pika.exceptions.ProbableAccessDeniedError:
        raise Unavailable(
            f"{where} has no virtual host {last.virtual_host} for user "
            f"{last.credentials.username}. The default one is written %2F in the URL."
        ) from None
    except (pika.exceptions.AMQPError, OSError) as error:
        if "ConnectionRefusedError" in repr(error):
            raise Unavailable(
                f"nothing listens on {where}. Start it: python -m lab up rabbitmq",
                refused=True,
            ) from None
        raise Unavailable(
            f"{where} answers with {type(error).__name__}. Check RABBITMQ_URLS in .env."
        ) from None


def probe(settings: Mapping[str, str]) -> str:
    pika.require()
    with connect(settings) as connection:
        # pika keeps the server's properties, which carry its version, to itself.
        return connection._impl.server_properties["version"]


def management(settings: Mapping[str, str], path: str) -> list[dict]:
    """What the management API answers: https://www.rabbitmq.com/docs/http-api-reference

    Raises Unavailable where it does not.
    """
    node = nodes(settings)[0]
    login = f"{node.credentials.username}:{node.credentials.password}"
    url = f"http://{node.host}:{settings['RABBITMQ_MANAGEMENT_PORT']}/api/{path}"
    try:
        return json.loads(web.ask(url, login=login, timeout=TIMEOUT))
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"{url} does not tell what RabbitMQ holds ({error}). "
            "Check RABBITMQ_MANAGEMENT_PORT in .env."
        ) from None


def contents(settings: Mapping[str, str]) -> list[Content]:
    vhost = quote(nodes(settings)[0].virtual_host, safe="")
    # A queue of a moment ago has no figures yet.
    return [
        Content(queue(each["name"]), each.get("messages", 0), each.get("consumers", 0))
        for each in management(settings, f"queues/{vhost}")
    ] + [
        Content(exchange(each["name"]), None, None)
        for each in management(settings, f"exchanges/{vhost}")
        if each["name"] and not each["name"].startswith("amq.")
    ]


def delete(settings: Mapping[str, str], things: Iterable[Thing]) -> None:
    with connect(settings) as connection:
        channel = connection.channel()
        actions = {"queue": channel.queue_delete, "exchange": channel.exchange_delete}
        for thing in things:
            try:
                actions[thing.kind](thing.name)
            except pika.exceptions.AMQPError as error:
                raise Unavailable(
                    f"RabbitMQ does not delete {thing}: {error!r}"
                ) from None


def queue(name: str) -> Thing:
    return Thing("queue", name)


def exchange(name: str) -> Thing:
    return Thing("exchange", name, keeps_messages=False)


DEAD_LETTERS = (exchange("dead_letters"), queue("dead_letters"))

RABBITMQ = Broker(
    name="rabbitmq",
    title="RabbitMQ",
    services=("rabbitmq",),
    ports=(Port("RABBITMQ_PORT", 5672), Port("RABBITMQ_MANAGEMENT_PORT", 15672)),
    addresses={"RABBITMQ_URLS": "amqp://guest:guest@localhost:$RABBITMQ_PORT/%2F"},
    credentials={},  # they are part of the URLs
    page="http://localhost:$RABBITMQ_MANAGEMENT_PORT (guest / guest)",
    software=SystemProgram(
        name="rabbitmq-server",
        paths=(
            # Debian and Ubuntu: their /usr/sbin/rabbitmq-server insists on the system's
            # own user and folders, the script behind it runs for anybody.
            "/usr/lib/rabbitmq/bin/rabbitmq-server",
            "/opt/homebrew/sbin/rabbitmq-server",
            "/usr/local/sbin/rabbitmq-server",
        ),
        debian_package="rabbitmq-server",
        install_commands={
            "brew": "brew install rabbitmq",
            "apt-get": "sudo apt-get install rabbitmq-server",
            "dnf": "sudo dnf install rabbitmq-server",
            "pacman": "sudo pacman -S rabbitmq",
        },
        otherwise="Or see it on ActiveMQ, which needs nothing installed: "
        "make demo PATTERN=activemq/work-queue",
    ),
    prepare=(),
    processes=(
        Process(
            command=("$program",),
            environment={
                # Erlang looks for its cookie here, and makes one of its own.
                "HOME": "$home",
                "RABBITMQ_NODENAME": "lab@localhost",
                "RABBITMQ_MNESIA_BASE": "$home/data",
                "RABBITMQ_LOG_BASE": "$home/log",
                "RABBITMQ_LOGS": "-",
                "RABBITMQ_PID_FILE": "$home/rabbitmq.pid",
                "RABBITMQ_ENABLED_PLUGINS_FILE": "$home/enabled_plugins",
                # The second is a pattern and would not find a path with brackets, so
                # the ports, which must not be missed, are in the first.
                "RABBITMQ_CONFIG_FILE": "$home/rabbitmq.conf",
                "RABBITMQ_CONFIG_FILES": "$config/*.conf",
                # Named so that the system's own files of these names are not read.
                "RABBITMQ_CONF_ENV_FILE": "$home/rabbitmq-env.conf",
                "RABBITMQ_ADVANCED_CONFIG_FILE": "$home/advanced.config",
                "RABBITMQ_DIST_PORT": "$DIST_PORT",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                    "-kernel inet_dist_use_interface {127,0,0,1}"
                ),
                "ERL_EPMD_PORT": "$EPMD_PORT",
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "ERL_CRASH_DUMP": "$home/erl_crash.dump",
            },
        ),
    ),
    files={
        "enabled_plugins": "[rabbitmq_management].\n",
        "rabbitmq.conf": (
            "listeners.tcp.1 = 127.0.0.1:$RABBITMQ_PORT\n"
            "management.tcp.ip = 127.0.0.1\n"
            "management.tcp.port = $RABBITMQ_MANAGEMENT_PORT\n"
        ),
    },
    inner_ports=("DIST_PORT", "EPMD_PORT"),
    ready_seconds=60,
    endpoints=endpoints,
    probe=probe,
    contents=contents,
    creates={
        "fifo": (queue("playlist_single"), queue("playlist_plain")),
        "work-queue": (queue("music_tasks"),),
        "fanout": (exchange("new_releases"),),
        "routing": (exchange("service_logs"),),
        "topic": (exchange("catalogue"),),
        "rpc": (queue("track_metadata"),),
        "headers": (exchange("booklets"),),
        "dead-letter": (
            queue("uploads"),
            queue("live_requests"),
            queue("latest_hits"),
            *DEAD_LETTERS,
        ),
        "confirms": (queue("royalties"),),
        "stream": (queue("listening_history"),),
        "quorum": (queue("imports"), *DEAD_LETTERS),
        "priority": (queue("song_requests"),),
        "retry": (
            queue("downloads"),
            queue("downloads_wait_1s"),
            queue("downloads_wait_2s"),
            queue("dead_letters"),
        ),
        "long-task": (queue("albums"),),
    },
    delete=delete,
)
