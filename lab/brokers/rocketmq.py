"""RocketMQ: its jars, how it is started, asked and cleaned."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from lab.broker import (
    ROOT,
    Broker,
    Content,
    Endpoint,
    LabError,
    Port,
    Process,
    Thing,
    Unavailable,
)
from lab.jars import Jars, java
from lab.libraries import Library
from lab.reach import check_reachable
from lab.remoting import (
    ALL_GROUPS,
    ALL_TOPICS,
    DELETE_GROUP,
    DELETE_TOPIC_IN_BROKER,
    DELETE_TOPIC_IN_NAMESRV,
    GROUP_CONNECTIONS,
    GROUP_STATS,
    NOT_ONLINE,
    RUNTIME_INFO,
    SYSTEM_TOPICS,
    TIMER_METRICS,
    TOPIC_STATS,
    UPDATE_BROKER_CONFIG,
    Remoting,
    RemotingError,
    brokers,
)

grpc = Library("grpc", "rocketmq")
# The client's own names of its requests.
protocol = Library("rocketmq.grpc_protocol", "rocketmq")

TIMEOUT = 4  # seconds
LONGEST_DELAY = 8  # seconds, of the messages that the tutorial delays
# The topic in which RocketMQ notes what is taken, before the cluster's name:
# PopAckConstants.java. A note is read when its time has come, and acted upon at most so
# many seconds later.
TAKEN, ACT_SECONDS = "rmq_sys_REVIVE_LOG_", 4
PASSED_ON_SECONDS = 1  # on its way from one of RocketMQ's threads to the next
SETTLE_SECONDS = 30  # the longest that a message is hidden, and some more
# RocketMQ forgets the attempts of an ordered group that is gone each 10 seconds.
FORGET_SECONDS = 11
READ_AND_WRITE = b"brokerPermission=6"  # its default: PermName.java
RETRY, DEAD_LETTERS = "%RETRY%", "%DLQ%"  # begin the topics of a group's own
# Groups that every broker has: MixAll.java and TopicValidator.java of RocketMQ 5.5.
OWN_GROUPS = (
    *("DEFAULT_CONSUMER", "DEFAULT_PRODUCER", "TOOLS_CONSUMER", "SCHEDULE_CONSUMER"),
    *("FILTERSRV_CONSUMER", "__MONITOR_CONSUMER", "CLIENT_INNER_PRODUCER"),
    *("SELF_TEST_P_GROUP", "SELF_TEST_C_GROUP", "CID_ONS-HTTP-PROXY"),
)
OWN_GROUP_BEGINS = ("CID_", "rmq_sys_", "RMQ_SYS_")


# As in the scripts: of several host names their client takes none.
ADDRESSES = re.compile(r"[^:;]+:\d+|[\d.]+:\d+(;[\d.]+:\d+)*")


def split(settings: Mapping[str, str], name: str) -> list[Endpoint]:
    if not ADDRESSES.fullmatch(settings[name]):
        raise LabError(f"{name} is malformed. Write it as .env.example does.")
    pairs = (each.split(":") for each in settings[name].split(";"))
    return [Endpoint(host, int(port)) for host, port in pairs]


def endpoints(settings: Mapping[str, str]) -> list[Endpoint]:
    """The proxies that ROCKETMQ_ENDPOINTS lists. Raises LabError if malformed."""
    return split(settings, "ROCKETMQ_ENDPOINTS")


def namesrv(settings: Mapping[str, str]) -> Remoting:
    """A connection to the name server. Raises Unavailable."""
    ends = split(settings, "ROCKETMQ_NAMESRV_ADDR")
    check_reachable(ends, "ROCKETMQ_NAMESRV_ADDR", "rocketmq")
    return Remoting(ends[0])


def broker(settings: Mapping[str, str]) -> Remoting:
    """A connection to the broker that the name server names. Raises Unavailable."""
    where = settings["ROCKETMQ_NAMESRV_ADDR"]
    try:
        with namesrv(settings) as names:
            known = brokers(names)
    except OSError as error:
        raise Unavailable(
            f"something listens on {where} but does not answer as a name server: "
            f"{error}. Is the port right? The name server's is 9876."
        ) from None
    if not known:
        raise Unavailable(f"the name server on {where} does not know a broker yet.")
    try:
        return Remoting(known[0])
    except OSError as error:
        raise Unavailable(
            f"the broker cannot be reached at {known[0]}, which the name server on "
            f"{where} gives: {error.strerror or error}."
        ) from None


def check_proxy(ends: Sequence[Endpoint]) -> None:
    """Ask the proxies for a route. Raises Unavailable if none answers."""
    if not any(map(is_proxy, ends)):
        where = ", ".join(map(str, ends))
        raise Unavailable(
            f"something listens on {where} but does not speak gRPC as RocketMQ's "
            "proxy does. Is the port right? The proxy's is 8081; 9876 is the name "
            "server's, 10911 the broker's."
        )


def is_proxy(end: Endpoint) -> bool:
    request = protocol.service_pb2.QueryRouteRequest()
    request.topic.name = "any"
    request.endpoints.scheme = 3  # a domain name
    address = request.endpoints.addresses.add()
    address.host, address.port = end
    with grpc.insecure_channel(str(end)) as channel:
        stub = protocol.service_pb2_grpc.MessagingServiceStub(channel)
        try:
            stub.QueryRoute(
                request, timeout=TIMEOUT, metadata=[("x-mq-client-id", "lab")]
            )
        except grpc.RpcError:
            return False
    return True


def probe(settings: Mapping[str, str]) -> str:
    protocol.require()
    ends = endpoints(settings)
    try:
        check_reachable(ends, "ROCKETMQ_ENDPOINTS", "rocketmq")
    except Unavailable as error:
        if error.refused and version(settings):
            where = ", ".join(map(str, ends))
            raise Unavailable(
                f"the broker runs, but nothing listens on {where}: its proxy is down "
                "or has another port. Start it, or mend ROCKETMQ_ENDPOINTS in .env."
            ) from None
        raise
    check_proxy(ends)
    try:
        connection = broker(settings)
    except Unavailable as error:
        if error.refused:
            raise Unavailable(
                "the proxy answers, but nothing listens on "
                f"{settings['ROCKETMQ_NAMESRV_ADDR']}: the name server is down or has "
                "another port. Start it, or mend ROCKETMQ_NAMESRV_ADDR in .env."
            ) from None
        raise
    with connection:
        return version_of(connection)


def announce(settings: Mapping[str, str]) -> None:
    """Ask the broker of this machine to register, where the name server knows none.

    It registers once when it starts, but with no name server that it has not connected
    to by then: getAvailableNameSrvList in BrokerOuterAPI.java. The next time is ten
    seconds later. It registers at once when it is told what it permits, also when that
    is what it permits already: updateBrokerConfig in AdminBrokerProcessor.java.
    """
    port = int(settings["ROCKETMQ_BROKER_PORT"])
    with suppress(OSError, Unavailable):  # it will be asked again, or needs no asking
        with namesrv(settings) as names:
            known = brokers(names)
        if not known:
            with Remoting(Endpoint("127.0.0.1", port)) as connection:
                connection.ask(UPDATE_BROKER_CONFIG, READ_AND_WRITE)


def version(settings: Mapping[str, str]) -> str | None:
    """The broker's version; None where there is none."""
    try:
        with broker(settings) as connection:
            return version_of(connection)
    except Unavailable:
        return None


def version_of(connection: Remoting) -> str:
    try:
        table = connection.ask(RUNTIME_INFO).json()["table"]
    except (OSError, KeyError, ValueError) as error:
        raise Unavailable(f"the broker does not tell its version: {error}") from None
    return table["brokerVersionDesc"].removeprefix("V").replace("_", ".")


def groups_by_name(connection: Remoting) -> dict[str, dict]:
    return connection.ask(ALL_GROUPS).json()["subscriptionGroupTable"]


def names(connection: Remoting) -> tuple[list[str], list[str]]:
    """Topics and consumer groups that are not RocketMQ's own. Raises OSError."""
    own = set(connection.ask(SYSTEM_TOPICS).json()["topicList"])
    topics = connection.ask(ALL_TOPICS).json()["topicConfigTable"]
    groups = groups_by_name(connection)
    return (
        [
            each
            for each in topics
            if each not in own and not each.startswith("rmq_sys_")
        ],
        [
            each
            for each in groups
            if each not in OWN_GROUPS and not each.startswith(OWN_GROUP_BEGINS)
        ],
    )


def contents(settings: Mapping[str, str]) -> list[Content]:
    """Topics with what they keep, groups with what they have yet to consume."""
    with broker(settings) as connection:
        try:
            topics, groups = names(connection)
            return [
                *(topic_content(connection, name) for name in topics),
                *(group_content(connection, name) for name in groups),
            ]
        except (OSError, KeyError, ValueError) as error:
            raise Unavailable(
                f"RocketMQ does not tell what it holds: {error}"
            ) from None


def topic_content(connection: Remoting, name: str) -> Content:
    stats = connection.ask(TOPIC_STATS, topic=name)
    kept = sum(stats.numbers("maxOffset")) - sum(stats.numbers("minOffset"))
    return Content(Thing("topic", name), kept, None)


def group_content(connection: Remoting, name: str) -> Content:
    try:
        stats = connection.ask(GROUP_STATS, consumerGroup=name)
        ends = stats.numbers("brokerOffset")  # none: it has never consumed
        lag = sum(ends) - sum(stats.numbers("consumerOffset")) if ends else None
    except RemotingError:
        lag = None
    try:
        online = connection.ask(GROUP_CONNECTIONS, consumerGroup=name)
        consumers = len(online.json()["connectionSet"])
    except RemotingError as error:
        if error.code != NOT_ONLINE:
            raise
        consumers = 0
    return Content(Thing("consumer group", name), lag, consumers)


def delete(settings: Mapping[str, str], things: Iterable[Thing]) -> None:
    """As ``Broker.delete``; a group goes with its retry and dead-letter topics."""
    wanted = set(things)
    with namesrv(settings) as registry, broker(settings) as connection:
        try:
            wait_for_delayed(connection, wanted)
            topics, groups = names(connection)
            for name in topics:
                owner = name.removeprefix(RETRY).removeprefix(DEAD_LETTERS)
                is_groups_own = owner != name and any(
                    owner == thing.name or owner.startswith(f"{thing.name}_")
                    for thing in wanted
                    if thing.kind == "consumer group"
                )
                if is_groups_own or Thing("topic", name) in wanted:
                    connection.ask(DELETE_TOPIC_IN_BROKER, topic=name)
                    registry.ask(DELETE_TOPIC_IN_NAMESRV, topic=name)
            for name in groups:
                if Thing("consumer group", name) in wanted:
                    connection.ask(DELETE_GROUP, groupName=name, cleanOffset="true")
        except (OSError, KeyError, ValueError) as error:
            raise Unavailable(f"RocketMQ does not delete: {error}") from None


def wait_for_delayed(connection: Remoting, things: set[Thing]) -> None:
    """Wait until nothing is waiting for its time in these topics.

    Such a message cannot be deleted: the next topic of that name would get it.
    """
    topics = {thing.name for thing in things if thing.kind == "topic"}
    deadline = time.monotonic() + LONGEST_DELAY
    while time.monotonic() < deadline:
        if not any(timed(connection).get(topic, (0,))[0] for topic in topics):
            return
        time.sleep(0.2)


def timed(connection: Remoting) -> dict[str, tuple[int, float]]:
    """How much waits for its time in each topic, and when that changed, Unix time.

    By RocketMQ's count, which may be below nothing after it was killed.
    """
    body = connection.ask(TIMER_METRICS).body.decode()
    found = re.findall(r'"([^"]+)":\{"count":(-?\d+),"timeStamp":(\d+)', body)
    return {name: (max(0, int(count)), int(at) / 1000) for name, count, at in found}


def delete_settled(settings: Mapping[str, str], things: Iterable[Thing]) -> None:
    """As ``Broker.delete_settled``.

    RocketMQ notes the place of a message that is taken, and how often it was: one at
    this place of a new topic would be shown twice, or hidden, or as a later attempt.
    """
    wanted = set(things)
    with broker(settings) as connection:
        try:
            noted = any(
                group_content(connection, name).messages is not None
                for name, group in groups_by_name(connection).items()
                if group["consumeMessageOrderly"]
                and Thing("consumer group", name) in wanted
            )
            delete(settings, wanted)
            deleted = time.monotonic()
            wait_for_notes(connection)
            if noted:
                time.sleep(max(0, deleted + FORGET_SECONDS - time.monotonic()))
        except (OSError, KeyError, ValueError) as error:
            raise Unavailable(f"RocketMQ does not delete: {error}") from None


def wait_for_notes(connection: Remoting) -> None:
    """Wait until all notes of what was taken are acted upon. Raises Unavailable.

    RocketMQ does not say whose they are. Of a group that is gone there is none left
    after SETTLE_SECONDS: if others consume then, what is noted is theirs. The second
    wait is for one who has just left.
    """
    for _ in range(2):
        deadline = time.monotonic() + SETTLE_SECONDS
        busy = time.monotonic()
        while (now := time.monotonic()) < deadline:
            if has_notes(connection):
                busy = now
            elif now - busy > PASSED_ON_SECONDS:
                return
            time.sleep(0.5)
        _, groups = names(connection)
        if any(group_content(connection, group).consumers for group in groups):
            return
    raise Unavailable(
        f"deleted, but after {2 * SETTLE_SECONDS} seconds RocketMQ still has notes of "
        "messages that were taken: new ones might come late or twice. Has a script "
        "hidden one for longer? Wait as long, then: python -m lab reset rocketmq"
    )


def has_notes(connection: Remoting) -> bool:
    """Whether notes of what was taken wait for their time, or are just acted upon.

    The count by topic is wrong for ever when RocketMQ was killed with notes in it; the
    number of all that waits is right. What is not a note is a delayed message.
    """
    counted = timed(connection)
    notes = [counted.pop(name) for name in list(counted) if name.startswith(TAKEN)]
    if any(at > time.time() - ACT_SECONDS for _, at in notes):
        return True
    # Asked last: RocketMQ goes through a week of seconds, one by one, to answer.
    info = connection.ask(RUNTIME_INFO).json()["table"]
    if info["dispatchBehindBytes"] != "0" or info["timerOffsetBehind"] != "0":
        return True  # just written, not yet counted
    delayed = sum(count for count, _ in counted.values())
    return int(info["timerCongestNum"]) > delayed


def topics(*names: str) -> tuple[Thing, ...]:
    return tuple(Thing("topic", name) for name in names)


def groups(*names: str) -> tuple[Thing, ...]:
    return tuple(Thing("consumer group", name) for name in names)


BROKER_CONF = (ROOT / "config/rocketmq/broker.conf").read_text()
PROXY_JSON = (ROOT / "config/rocketmq/rmq-proxy.json").read_text()
# As bin/runserver.sh and bin/runbroker.sh of its distribution open them.
OPTIONS = (
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    # Otherwise each of its servers makes a key of its own, at each start.
    "-Dtls.server.mode=disabled",
    "-Duser.home=$home",  # where it puts its logs
)
# mqadmin has a log file, too: not in the user's own home.
LOGS_OF_TOOLS = "$home"
HOMES = {"ROCKETMQ_HOME": "$home", "RMQ_PROXY_HOME": "$home"}


def compiled_again_after(times: int) -> tuple[str, ...]:
    """Options of Java: what has run so often goes to its other compiler (C2).

    Each start took 4 processor seconds more with Java's own limits, of thousands.
    """
    counted = "Invocation", "MinInvocation", "Compile", "BackEdge"
    return tuple(f"-XX:Tier4{name}Threshold={times}" for name in counted)


def program(
    heap: str,
    main_class: str,
    *arguments: str,
    more: Iterable[str] = (),
    after: str | None = None,
) -> Process:
    command = java(heap, main_class, *arguments, options=(*OPTIONS, *more)).command
    return Process(command, HOMES, after)


ROCKETMQ = Broker(
    name="rocketmq",
    title="RocketMQ",
    services=("rocketmq-namesrv", "rocketmq"),
    ports=(
        Port("ROCKETMQ_PROXY_PORT", 8081),
        Port("ROCKETMQ_NAMESRV_PORT", 9876),
        # The port two below is its fast one: initializeRemotingServer in
        # BrokerController.java of RocketMQ 5.5.
        Port("ROCKETMQ_BROKER_PORT", 10911, beside=(-2,)),
    ),
    addresses={
        "ROCKETMQ_ENDPOINTS": "localhost:$ROCKETMQ_PROXY_PORT",
        "ROCKETMQ_NAMESRV_ADDR": "localhost:$ROCKETMQ_NAMESRV_PORT",
    },
    credentials={},
    page=None,
    software=Jars("rocketmq"),
    prepare=(),
    processes=(
        program(
            "-Xmx128m",
            "org.apache.rocketmq.namesrv.NamesrvStartup",
            *("-c", "namesrv.conf"),
        ),
        # Broker and proxy in one process.
        program(
            "-Xmx512m",
            "org.apache.rocketmq.proxy.ProxyStartup",
            *("-pm", "local", "-n", "127.0.0.1:$ROCKETMQ_NAMESRV_PORT"),
            *("-bc", "broker.conf", "-pc", "rmq-proxy.json"),
            # Java's other compiler, but only for what has run a million times: it goes
            # through 39 MB of its timer again and again.
            more=("-XX:TieredStopAtLevel=4", *compiled_again_after(1_000_000)),
            # Else the broker might look for it too early, and again after 10 seconds.
            after="ROCKETMQ_NAMESRV_PORT",
        ),
    ),
    files={
        "namesrv.conf": """listenPort=$ROCKETMQ_NAMESRV_PORT
bindAddress=127.0.0.1
""",
        "broker.conf": BROKER_CONF
        + """
listenPort=$ROCKETMQ_BROKER_PORT
haListenPort=$HA_PORT
bindAddress=127.0.0.1
namesrvAddr=127.0.0.1:$ROCKETMQ_NAMESRV_PORT
storePathRootDir=$home/data
""",
        "rmq-proxy.json": PROXY_JSON.replace("8081", "$ROCKETMQ_PROXY_PORT").replace(
            "8082", "$REMOTING_PORT"
        ),
    },
    inner_ports=("HA_PORT", "REMOTING_PORT"),
    ready_seconds=90,
    refusal_seconds=60,
    endpoints=endpoints,
    probe=probe,
    contents=contents,
    creates={
        "work-queue": (*topics("music_tasks"), *groups("encoders")),
        "fifo": (
            *topics("playlist_single", "playlist_plain"),
            *groups("players_single", "players_plain"),
        ),
        "fanout": (
            *topics("new_releases"),
            *groups("listener_1", "listener_2", "listener_3"),
        ),
        "routing": (
            *topics("service_logs"),
            *groups("log_readers_info", "log_readers_warning", "log_readers_error"),
            *groups("log_readers_critical", "log_readers_all"),
        ),
        "topic": (*topics("catalogue"), *groups("archive", "rock_radio")),
        "headers": (*topics("booklets"), *groups("booklets_all", "booklets_any")),
        "rpc": (
            *topics("track_metadata", "track_metadata_replies"),
            *groups("metadata_servers", "metadata_clients"),
        ),
        "dead-letter": (
            *topics("uploads", "%DLQ%upload_encoders"),
            *groups("upload_encoders", "dead_letter_readers"),
        ),
        "confirms": (*topics("royalties"), *groups("accountants")),
        "transaction": (*topics("purchases"), *groups("album_unlockers")),
        "sql-filter": (*topics("new_tracks"), *groups("party", "radio")),
        "order": (*topics("vinyl_orders"), *groups("record_shop")),
        "delayed": (*topics("reminders"), *groups("reminder_listeners")),
        "priority": (*topics("song_requests"), *groups("jukebox")),
        "classic": (
            *topics("classic_tasks", "classic_releases"),
            *groups("classic_encoders", "classic_listeners"),
        ),
    },
    delete=delete,
    delete_settled=delete_settled,
    announce=announce,
    tool=Process(
        java(
            "-Xmx128m",
            "org.apache.rocketmq.tools.command.MQAdminStartup",
            options=(*OPTIONS[:-1], f"-Duser.home={LOGS_OF_TOOLS}"),
        ).command,
        {"NAMESRV_ADDR": "$ROCKETMQ_NAMESRV_ADDR"},
    ),
    setup="rocketmq_setup.py",
)
