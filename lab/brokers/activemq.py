"""ActiveMQ: its jars, how it is started, asked and cleaned."""

import json
import logging
import queue
import time
from collections import Counter
from collections.abc import Iterable, Mapping

from lab import web
from lab.broker import (
    ROOT,
    Broker,
    Content,
    Endpoint,
    LabError,
    Port,
    Thing,
    Unavailable,
)
from lab.jars import Jars, java
from lab.libraries import Library
from lab.reach import check_reachable

stomp = Library("stomp", "activemq")

TIMEOUT = 4  # seconds
CONSOLE_TIMEOUT = 15  # its first answer after a start takes seconds on a busy machine
BROKER = "org.apache.activemq:type=Broker,brokerName=localhost"
SCHEDULER = f"{BROKER},service=JobScheduler,name=JMS"
FORBIDDEN = 403  # by jolokia-access.xml; the text names org.apache.activemq
# Until a queue whose consumer has been killed can be removed.
REMOVAL_SECONDS = 2

# What goes wrong is said by Unavailable.
logging.getLogger("stomp.py").setLevel("CRITICAL")


def endpoints(settings: Mapping[str, str]) -> list[Endpoint]:
    """The brokers that ACTIVEMQ_HOSTS lists. Raises LabError if malformed."""
    nodes = [node.strip().split(":") for node in settings["ACTIVEMQ_HOSTS"].split(",")]
    if not all(len(node) == 2 and node[0] and node[1].isdecimal() for node in nodes):
        raise LabError("ACTIVEMQ_HOSTS is malformed. Write it as .env.example does.")
    return [Endpoint(host, int(port)) for host, port in nodes]


class Answer(queue.Queue):
    """A listener: what a broker answers to a login; None where it hangs up."""

    on_connected = on_error = queue.Queue.put

    def on_disconnected(self) -> None:
        self.put(None)


def probe(settings: Mapping[str, str]) -> str:
    stomp.require()
    ends = endpoints(settings)
    where = ", ".join(map(str, ends))
    try:
        check_reachable(ends, "ACTIVEMQ_HOSTS", "activemq")
    except Unavailable as error:
        if error.refused and runs(settings):
            raise Unavailable(
                f"ActiveMQ runs, but nothing listens on {where}: its STOMP connector "
                "is off or has another port. Switch it on as "
                "config/activemq/broker.xml does."
            ) from None
        raise
    connection = stomp.Connection12(
        ends, timeout=TIMEOUT, reconnect_attempts_max=1, auto_decode=False
    )
    answer = Answer()
    connection.set_listener("", answer)
    user = settings["ACTIVEMQ_USER"]
    try:
        connection.connect(user, settings["ACTIVEMQ_PASSWORD"])
        frame = answer.get(timeout=TIMEOUT)
        connection.disconnect()
    except (stomp.exception.StompException, queue.Empty, OSError):
        frame = None
    if frame and frame.cmd == "CONNECTED":
        return frame.headers["server"].partition("/")[2]
    if frame and b"password is invalid" in frame.body:
        raise Unavailable(
            f"{where} refuses the login of user {user}. "
            "Mend ACTIVEMQ_USER and ACTIVEMQ_PASSWORD in .env."
        )
    raise Unavailable(
        f"something listens on {where} but does not speak STOMP. Is the port right? "
        "STOMP is 61613, the console 8161, OpenWire 61616."
    )


def jolokia(settings: Mapping[str, str], *requests: dict) -> list[dict]:
    """What the console's Jolokia answers: https://jolokia.org/reference/html/manual/

    Raises Unavailable where it does not, or not to this login.
    """
    host = endpoints(settings)[0].host
    url = f"http://{host}:{settings['ACTIVEMQ_CONSOLE_PORT']}/api/jolokia/"
    login = f"{settings['ACTIVEMQ_USER']}:{settings['ACTIVEMQ_PASSWORD']}"
    try:
        answers = json.loads(
            web.ask(
                url,
                body=requests,
                login=login,
                headers={"Origin": f"http://{host}"},  # the console wants one
                timeout=CONSOLE_TIMEOUT,
            )
        )
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"{url} does not tell what ActiveMQ holds ({error}). "
            "Check ACTIVEMQ_CONSOLE_PORT in .env."
        ) from None
    # One answer instead of several: all requests are refused, not one of them.
    if isinstance(answers, dict):
        raise Unavailable(
            f"{url} refuses to tell what ActiveMQ holds: {answers['error']}"
        )
    return answers


def runs(settings: Mapping[str, str]) -> bool:
    """Whether an ActiveMQ answers on the console's port."""
    try:
        (answer,) = jolokia(settings, {"type": "search", "mbean": BROKER})
    except Unavailable:
        return False
    return bool(answer.get("value"))


KINDS = {"Queue": "queue", "Topic": "topic", "TempQueue": "temporary queue"}


def contents(settings: Mapping[str, str]) -> list[Content]:
    destinations, subscriptions, jobs = jolokia(
        settings,
        {
            "type": "read",
            "mbean": f"{BROKER},destinationType=*,destinationName=*",
            "attribute": ["Name", "QueueSize", "ConsumerCount"],
        },
        {
            "type": "read",
            "mbean": f"{BROKER},destinationType=Topic,destinationName=*,"
            "endpoint=Consumer,clientId=*,consumerId=Durable(*)",
            "attribute": ["SubscriptionName", "PendingQueueSize", "Active", "ClientId"],
        },
        all_jobs(),
    )
    waiting = Counter(job["destinationName"] for job in scheduled(jobs))
    found = [Content(schedule(name), count, None) for name, count in waiting.items()]
    for name, values in destinations.get("value", {}).items():
        kind = next((KINDS[k] for k in KINDS if f"destinationType={k}," in name), None)
        if kind and not values["Name"].startswith("ActiveMQ."):
            size = None if kind == "topic" else values["QueueSize"]
            thing = Thing(kind, values["Name"], keeps_messages=kind != "topic")
            # -1 for ever, where a queue was removed and made again while its last
            # consumer left: ActiveMQ 6.3 takes that one off the new queue's count.
            found.append(Content(thing, size, max(values["ConsumerCount"], 0)))
    for values in subscriptions.get("value", {}).values():
        name = f"{values['ClientId']}/{values['SubscriptionName']}"
        thing = Thing("durable subscription", name)
        found.append(Content(thing, values["PendingQueueSize"], int(values["Active"])))
    return found


def delete(settings: Mapping[str, str], things: Iterable[Thing]) -> None:
    """As ``Broker.delete``. What somebody still reads is emptied and stays.

    A destination goes with the messages that are scheduled for it. Meanwhile ActiveMQ
    itself moves messages, expired ones and those whose time has come, and makes the
    queue again to which they go: so it looks until nothing is left.
    """
    wanted = set(things)
    wanted |= {schedule(thing.name) for thing in wanted}
    deadline = time.monotonic() + REMOVAL_SECONDS
    while there := [each for each in contents(settings) if each.thing in wanted]:
        jobs = jobs_of(settings, [each.thing for each in there])
        requests = [request for each in there for request in removal(each, jobs)]
        answers = jolokia(settings, *requests) if requests else []
        failed = [answer for answer in answers if answer["status"] != 200]
        if time.monotonic() > deadline:
            break
        # The consumer of a script that was killed is missed a little later.
        if failed or any(each.consumers for each in there):
            time.sleep(0.1)
    else:
        return
    for answer in failed:
        in_use = any(word in answer["error"] for word in ("active", "in use"))
        if answer["status"] == FORBIDDEN or not in_use:
            raise Unavailable(f"ActiveMQ does not delete: {answer['error']}")


def jobs_of(settings: Mapping[str, str], things: Iterable[Thing]) -> list[dict]:
    """The scheduled messages among these things, which is mostly none."""
    if not any(thing.kind == "schedule" for thing in things):
        return []
    (answer,) = jolokia(settings, all_jobs())
    return scheduled(answer)


def removal(content: Content, jobs: list[dict]) -> list[dict]:
    """The requests that remove it, or only empty it where it has consumers.

    Without its queue a consumer would wait for ever, and nobody would tell it.
    """
    kind, name, _ = content.thing
    if kind == "schedule":
        return [
            execute(SCHEDULER, "removeJob(java.lang.String)", job["jobId"])
            for job in jobs
            if job["destinationName"] == name
        ]
    if kind == "queue":
        mbean = f"{BROKER},destinationType=Queue,destinationName={name}"
        purge = execute(mbean, "purge()")
        remove = operation("removeQueue(java.lang.String)", name)
        return [purge] if content.consumers else [purge, remove]
    if content.consumers:
        return []
    if kind == "topic":
        return [operation("removeTopic(java.lang.String)", name)]
    destroy = "destroyDurableSubscriber(java.lang.String,java.lang.String)"
    return [operation(destroy, *name.split("/"))]


def operation(name: str, *arguments: str) -> dict:
    return execute(BROKER, name, *arguments)


def execute(mbean: str, name: str, *arguments: str | bool) -> dict:
    return {
        "type": "exec",
        "mbean": mbean,
        "operation": name,
        "arguments": list(arguments),
    }


def all_jobs() -> dict:
    """The request for all messages that wait for their time, with their queues."""
    return execute(SCHEDULER, "getAllJobs(boolean)", True)


def scheduled(answer: dict) -> list[dict]:
    """The answer to ``all_jobs()``; nothing where the broker has no scheduler."""
    return list(answer.get("value", {}).values())


def schedule(name: str) -> Thing:
    return Thing("schedule", name)


def q(*names: str) -> tuple[Thing, ...]:
    return tuple(Thing("queue", name) for name in names)


def durable(*names: str) -> tuple[Thing, ...]:
    return tuple(Thing("durable subscription", name) for name in names)


def topics(*names: str) -> tuple[Thing, ...]:
    return tuple(Thing("topic", name, keeps_messages=False) for name in names)


BROKER_XML = (ROOT / "config/activemq/broker.xml").read_text()
JOLOKIA_AGENT = "$jars/org.jolokia/jolokia-agent-jvm-2.6.0-javaagent.jar"
JOLOKIA_OPTIONS = (
    *("host=127.0.0.1", "port=$ACTIVEMQ_CONSOLE_PORT", "agentContext=/api/jolokia"),
    *("user=admin", "password=admin", "discoveryEnabled=false"),
)

ACTIVEMQ = Broker(
    name="activemq",
    title="ActiveMQ",
    services=("activemq",),
    ports=(Port("ACTIVEMQ_PORT", 61613), Port("ACTIVEMQ_CONSOLE_PORT", 8161)),
    addresses={"ACTIVEMQ_HOSTS": "localhost:$ACTIVEMQ_PORT"},
    credentials={"ACTIVEMQ_USER": "admin", "ACTIVEMQ_PASSWORD": "admin"},
    page="http://localhost:$ACTIVEMQ_CONSOLE_PORT (admin / admin)",
    software=Jars("activemq"),
    prepare=(),
    processes=(
        java(
            "-Xmx256m",
            "org.apache.activemq.console.command.ShellCommand",
            *("start", "xbean:broker.xml"),
            options=(
                "-Dactivemq.data=$home/data",
                "-Dstomp.address=127.0.0.1:$ACTIVEMQ_PORT",
                # What the console is asked for in Docker, at the same address.
                f"-javaagent:{JOLOKIA_AGENT}={','.join(JOLOKIA_OPTIONS)}",
            ),
        ),
    ),
    # A copy at home: the address of a file may have no blanks, a relative one has none.
    files={"broker.xml": BROKER_XML.replace("$", "$$")},
    inner_ports=(),
    ready_seconds=60,
    endpoints=endpoints,
    probe=probe,
    contents=contents,
    creates={
        "fifo": q("playlist"),
        "work-queue": q("music_tasks"),
        "fanout": topics("new_releases"),
        "routing": topics(
            *(f"service_logs.{s}" for s in ("info", "warning", "error", "critical"))
        ),
        "topic": topics(
            *(
                f"catalogue.{key}"
                for key in (
                    "music.rock.classic",
                    "music.pop.hits",
                    "music.rock.indie",
                    "music.rock.indie.live",
                    "podcast.news",
                )
            )
        ),
        "rpc": q("track_metadata"),
        "headers": topics("booklets"),
        "dead-letter": q(
            *("uploads", "live_requests", "imports"),
            *("DLQ.uploads", "DLQ.live_requests", "DLQ.imports"),
        ),
        "confirms": q("royalties", "royaltys", "small_royalties"),
        "durable": (
            *topics("concerts"),
            *durable("phone/concerts", "laptop/concerts"),
        ),
        "virtual-topic": (
            *topics("VirtualTopic.plays"),
            *q("Consumer.charts.VirtualTopic.plays"),
            *q("Consumer.royalties.VirtualTopic.plays"),
        ),
        "message-groups": q("playlist_edits"),
        "scheduled": q("reminders"),
        "exclusive": q("payouts"),
        "transactions": q("album_tracks"),
        "browse": q("reviews"),
    },
    delete=delete,
    counts_at_once=True,
    page_needs_docker=True,  # the jars have the port and Jolokia, no console
)
