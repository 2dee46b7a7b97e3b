"""RocketMQ's tags and SQL filters: what its README says and no walkthrough shows."""

from contextlib import contextmanager

import pytest
from rocketmq import FilterExpression, Message
from rocketmq.grpc_protocol import FilterType

from lab.broker import Thing
from lab.brokers.rocketmq import ROCKETMQ as BROKER
from lab.brokers.rocketmq import broker as connect
from lab.brokers.rocketmq import contents
from lab.remoting import UPDATE_GROUP, RemotingError
from tests.rocketmq_client import bodies, consuming, receive
from tests.rows.rocketmq import send, things
from tests.support import Tab, run, script, wait_until

BROKER_STATS = 315
TRACKS = {"Night Train", "Sugar Rain", "Low Tide", "Harbour Lights", "Paper Boats"}


@pytest.fixture
def rocketmq(live):
    broker = live("rocketmq")
    yield broker
    # What these tests have made besides: others look at all that there is.
    BROKER.delete(broker.settings, things(broker.settings))


def path(name: str):
    return script(f"rocketmq_{name}.py").path


@contextmanager
def consumer_of(settings, topic: str, group: str, wish: FilterExpression):
    """A consumer that has been told its group's place in the topic."""
    with consuming(settings, group, topic, wish) as consumer:

        def take() -> list[str]:
            messages = receive(consumer, 10)
            for message in messages:
                consumer.ack(message)
            return bodies(messages)

        first = take()
        yield lambda: [first.pop() for _ in list(first)] + take()


def tag_of_its_body(message: Message) -> None:
    message.tag = message.body.decode().split()[0]


def waiting(settings, group: str) -> int | None:
    """How many messages RocketMQ has not yet dealt with for a group."""
    thing = Thing("consumer group", group)
    return {each.thing: each.messages for each in contents(settings)}[thing]


# As the table in the README lists them.
CONDITIONS = {
    "bpm > 100": {"Night Train", "Sugar Rain", "Paper Boats"},
    "bpm >= 124": {"Night Train", "Sugar Rain"},
    "bpm < 110": {"Harbour Lights"},
    "bpm <= 110": {"Harbour Lights", "Paper Boats"},
    "bpm = 96": {"Harbour Lights"},
    "bpm <> 96": TRACKS - {"Harbour Lights", "Low Tide"},
    "year > bpm": TRACKS - {"Low Tide"},
    "bpm NOT BETWEEN 110 AND 124": {"Night Train", "Harbour Lights"},
    "genre <> 'rock'": {"Sugar Rain", "Low Tide", "Harbour Lights"},
    "genre NOT IN ('folk', 'rock')": {"Sugar Rain", "Low Tide"},
    "label IS NULL": {"Night Train", "Low Tide", "Harbour Lights"},
    "label IS NOT NULL": {"Sugar Rain", "Paper Boats"},
    "genre STARTSWITH 'ro'": {"Night Train", "Paper Boats"},
    "genre ENDSWITH 'nt'": {"Low Tide"},
    "genre CONTAINS 'o'": TRACKS - {"Low Tide"},
    "genre NOT CONTAINS 'o'": {"Low Tide"},
    "year > 1990 AND (label IS NULL OR genre = 'pop')": {"Sugar Rain", "Low Tide"},
    "NOT (bpm > 100)": {"Harbour Lights"},
    "bpm > 127.5": {"Night Train"},
    # What it drops without a word: all behind the first one that it does not know.
    "genre = 'pop' whatever": {"Sugar Rain"},
    "genre LIKE 'r%'": set(),
}


def test_conditions(rocketmq):
    """Each in a group of its own, which begins with the topic's first message."""
    assert run(path("sql_filter_producer"), environment=rocketmq.environment).out
    for number, (condition, titles) in enumerate(CONDITIONS.items()):
        group = f"condition_{number}"
        with connect(rocketmq.settings) as connection:
            connection.ask(UPDATE_GROUP, {"groupName": group, "consumeEnable": True})
        wish = FilterExpression(condition, FilterType.SQL)
        with consumer_of(rocketmq.settings, "new_tracks", group, wish) as take:
            found: list[str] = []

            def all_are_dealt_with(take=take, found=found, group=group) -> bool:
                found += take()
                return waiting(rocketmq.settings, group) == 0

            wait_until(all_are_dealt_with)
        assert sorted(found) == sorted(titles), condition


@pytest.mark.parametrize(
    "condition",
    [
        "bpm >",
        "genre LIKE 'r%'",
        "bpm + 1 > 100",
        "NOT bpm > 100",
        "bpm IN (96)",
        "genre BETWEEN 'a' AND 'b'",
        "(bpm > 100",
    ],
)
def test_a_condition_that_is_not_understood_is_one_line(condition, rocketmq):
    ended = run(
        path("sql_filter_consumer"),
        *("party", condition),
        environment=rocketmq.environment,
    )
    assert ended.status == 1
    assert ended.out == []
    assert ended.error == [
        "RocketMQ does not understand this condition. Try: bpm > 100"
    ]


def test_a_header_with_a_name_that_sql_has_is_one_line(rocketmq):
    ended = run(
        path("headers_consumer"), "all", "in=pdf", environment=rocketmq.environment
    )
    assert ended.status == 1
    assert ended.out == []
    assert ended.error == ["RocketMQ takes a NAME for a word of SQL. Try another one."]


def test_rocketmq_itself_picks_the_booklets(rocketmq, record):
    """By its own counters: for each booklet handed to one group, three to the other."""

    def handed_out(group: str) -> int:
        try:
            answer = connection.ask(
                BROKER_STATS, statsName="GROUP_GET_NUMS", statsKey=f"booklets@{group}"
            )
        except RemotingError:  # it has not counted yet
            return 0
        return answer.json()["statsMinute"]["sum"]

    def counted() -> bool:
        # Sampled every ten seconds, and the first sample is the zero.
        run(path("headers_producer"), environment=rocketmq.environment)
        return handed_out("booklets_all") > 0

    consumer = path("headers_consumer")
    labels = "format=pdf", "language=fr"
    with (
        connect(rocketmq.settings) as connection,
        Tab(consumer, "all", *labels, environment=rocketmq.environment) as every,
        Tab(consumer, "any", *labels, environment=rocketmq.environment) as one,
    ):
        assert every.line()
        assert one.line()
        wait_until(counted)
        wait_until(
            lambda: handed_out("booklets_any") == 3 * handed_out("booklets_all") > 0
        )
        # What was passed over is dealt with, too.
        for group in ("booklets_all", "booklets_any"):
            wait_until(lambda group=group: waiting(rocketmq.settings, group) == 0)
    record("behaviours", "filter", "rocketmq", "the broker")


def test_two_wishes_in_one_group_lose_messages(rocketmq):
    """What is passed over for one consumer is not shown to the other."""
    settings, group = rocketmq.settings, "log_readers_all"
    found = {"info": [], "error": []}
    with (
        consumer_of(settings, "service_logs", group, FilterExpression("info")) as info,
        consumer_of(
            settings, "service_logs", group, FilterExpression("error")
        ) as error,
    ):
        bodies = [f"{tag} {number}".encode() for number in range(20) for tag in found]
        send(settings, "service_logs", *bodies, change=tag_of_its_body)

        def all_are_dealt_with() -> bool:
            found["info"] += info()
            found["error"] += error()
            return waiting(settings, group) == 0

        wait_until(all_are_dealt_with)
    assert sum(map(len, found.values())) < 40


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("*.news", {"podcast.news"}),
        ("*.*.*", {"music.rock.classic", "music.pop.hits", "music.rock.indie"}),
        ("music.*.indie", {"music.rock.indie"}),
        ("music.rock.indie.#", {"music.rock.indie", "music.rock.indie.live"}),
        ("podcast.*.#", {"podcast.news"}),
        ("music", set()),
    ],
)
def test_patterns_mean_what_they_mean_on_rabbitmq(pattern, keys, rocketmq):
    with Tab(
        path("topic_consumer"),
        *("archive", pattern),
        environment=rocketmq.environment,
    ) as tab:
        assert tab.line().startswith(f"Waiting for {pattern}: words ")
        run(path("topic_producer"), environment=rocketmq.environment)
        found = {tab.line().split(": ")[0] for _ in keys}
        assert found == {f"Received {key}" for key in keys}
        wait_until(lambda: waiting(rocketmq.settings, "archive") == 0)
        tab.press_ctrl_c()
        assert tab.end() == (0, None, [])
