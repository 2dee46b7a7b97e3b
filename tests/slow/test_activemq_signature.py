"""What only ActiveMQ has: durable subscribers, groups, a scheduler, browsers."""

import time

import pytest

from lab.broker import Report, Thing
from lab.brokers.activemq import BROKER, contents, jolokia, q, schedule
from tests.rows.activemq import client_of
from tests.support import Tab, in_order, run, script, wait_until


@pytest.fixture
def activemq(live):
    return live("activemq")


def path_of(rest: str):
    return script(f"activemq_{rest}.py").path


def messages(activemq, thing: Thing) -> int | None:
    """How many there are, as ActiveMQ says; None where there is no such thing."""
    found = {each.thing: each.messages for each in contents(activemq.settings)}
    return found.get(thing)


def queue_of(name: str) -> Thing:
    (thing,) = q(name)
    return thing


def send(activemq, destination: str, bodies: list[str], **headers) -> None:
    """Send these messages, and return when ActiveMQ has stored them."""
    with client_of(activemq.settings) as client:
        for body in bodies:
            client.send(destination, body.encode(), persistent="true", **headers)


def lines_of(tab: Tab, count: int) -> list[str]:
    return [tab.line() for _ in range(count)]


# Durable subscribers

PHONE = Thing("durable subscription", "phone/concerts")
CONCERTS = [f"Heard concert in {city}" for city in ("Lisbon", "Oslo", "Vienna")]


def announce(activemq, runs: int) -> list[str]:
    """Run the producer; returns what a subscriber has to hear of it."""
    for _ in range(runs):
        sent = run(path_of("durable_producer"), environment=activemq.environment)
        assert [line.replace("Announced", "Heard") for line in sent.out] == CONCERTS
    return CONCERTS * runs


def subscribe_and_leave(activemq, *, with_a_kill: bool = False) -> None:
    with Tab(path_of("durable_consumer"), environment=activemq.environment) as phone:
        assert phone.line() == "Listening on the phone. Press Ctrl-C to stop."
        if not with_a_kill:
            phone.press_ctrl_c()
        else:
            phone.child.kill(9)
        phone.end()


@pytest.mark.parametrize("with_a_kill", [False, True], ids=["Ctrl-C", "kill"])
def test_a_subscriber_hears_what_it_has_missed_and_only_that(with_a_kill, activemq):
    """Twice: what it has acknowledged does not come again."""
    subscribe_and_leave(activemq, with_a_kill=with_a_kill)
    for runs in 2, 1:
        expected = announce(activemq, runs)
        assert messages(activemq, PHONE) == len(expected)
        with Tab(path_of("durable_consumer"), environment=activemq.environment) as tab:
            assert tab.line()
            assert lines_of(tab, len(expected)) == expected
            wait_until(lambda: messages(activemq, PHONE) == 0)
            tab.press_ctrl_c()
            assert tab.end() == (0, None, [])


def test_a_second_subscriber_of_the_name_is_turned_away(activemq):
    path = path_of("durable_consumer")
    with Tab(path, environment=activemq.environment) as first:
        assert first.line()
        second = run(path, environment=activemq.environment)
        assert second.status == 1
        assert second.out == []
        (line,) = second.error
        assert "phone already connected" in line
        expected = announce(activemq, 1)
        assert lines_of(first, len(CONCERTS)) == expected


def test_what_is_kept_for_subscribers_survives_the_death_of_the_broker(new_broker):
    activemq = new_broker("activemq")
    subscribe_and_leave(activemq)
    expected = announce(activemq, 1)
    activemq.instance.kill()
    activemq.instance.start(Report())
    with Tab(path_of("durable_consumer"), environment=activemq.environment) as phone:
        assert phone.line()
        assert lines_of(phone, len(expected)) == expected


def test_a_reset_leaves_a_subscription_that_is_in_use(activemq):
    kind = activemq.row.broker
    with Tab(path_of("durable_consumer"), environment=activemq.environment) as phone:
        assert phone.line()
        kind.delete(activemq.settings, kind.creates["durable"])
        assert messages(activemq, PHONE) == 0
        expected = announce(activemq, 1)
        assert lines_of(phone, len(CONCERTS)) == expected
    wait_until(lambda: "durable" not in str(in_use(activemq)))
    kind.delete(activemq.settings, kind.creates["durable"])
    assert messages(activemq, PHONE) is None


def in_use(activemq) -> set[Thing]:
    return {each.thing for each in contents(activemq.settings) if each.consumers}


# Virtual topics

PLAYS = [f"Counted play {number}" for number in range(1, 7)]


@pytest.mark.parametrize("ending", [2, 9], ids=["Ctrl-C", "kill"])
def test_each_application_gets_what_it_has_missed(ending, activemq):
    path = path_of("virtual_topic_consumer")
    applications = ("charts", "royalties")
    for application in applications:
        with Tab(path, application, environment=activemq.environment) as worker:
            assert worker.line()
            worker.child.kill(ending)
            worker.end()
    run(path_of("virtual_topic_producer"), environment=activemq.environment)
    for application in applications:
        kept = queue_of(f"Consumer.{application}.VirtualTopic.plays")
        assert messages(activemq, kept) == len(PLAYS)
        with Tab(path, application, environment=activemq.environment) as worker:
            assert worker.line()
            assert lines_of(worker, len(PLAYS)) == PLAYS


def test_a_play_of_a_killed_worker_stays_in_its_application(activemq):
    path = path_of("virtual_topic_consumer")
    with Tab(path, "royalties", environment=activemq.environment) as royalties:
        assert royalties.line()
        with in_order(path, activemq.environment) as (doomed, other):
            run(path_of("virtual_topic_producer"), environment=activemq.environment)
            doomed.child.kill(9)
            done_before = doomed.end()[2]
            counted = done_before + lines_of(other, len(PLAYS) - len(done_before))
        assert sorted(counted) == PLAYS
        assert lines_of(royalties, len(PLAYS)) == PLAYS
        royalties.press_ctrl_c()
        assert royalties.end() == (0, None, [])


# Message groups

EDITS = queue_of("playlist_edits")


def test_groups_of_a_killed_holder_move_as_a_whole_and_in_order(activemq):
    """Three workers, six groups; one worker dies in the middle of its first edit."""
    groups, count = "ABCDEF", 3
    path = path_of("message_groups_consumer")
    with Tab(path, environment=activemq.environment) as third:
        assert third.line()
        with in_order(path, activemq.environment) as (doomed, second):
            for number in range(1, count + 1):
                for group in groups:
                    body = f"{group}{number}"
                    destination = "/queue/playlist_edits"
                    send(activemq, destination, [body], JMSXGroupID=group)
            first = doomed.line()
            doomed.child.kill(9)
            lines = [first, *doomed.end()[2]]
            taken = [x.split()[1] for x in lines if "Applying" in x][-1]
            finished = [x.split()[1] for x in lines if "Applied" in x]
            wait_until(lambda: messages(activemq, EDITS) == 0)
            survivors = []
            for tab in (second, third):
                tab.press_ctrl_c()
                lines = tab.end()[2]
                survivors.append([x.split()[1] for x in lines if "Applied" in x])
    everything = [*survivors[0], *survivors[1]]
    # Where the test was slow, it may have finished that edit before it was killed.
    assert taken in [*everything, *finished]
    for group in groups:
        edits = [f"{group}{number}" for number in range(1, count + 1)]
        # The doomed one may have finished some before it died.
        applied = [edit for edit in everything if edit[0] == group]
        assert applied == edits[-len(applied) :]
        holders = [edits for edits in survivors if any(e[0] == group for e in edits)]
        assert len(holders) == 1


def test_a_worker_that_comes_later_gets_no_group_that_has_a_holder(activemq):
    path = path_of("message_groups_consumer")
    with Tab(path, environment=activemq.environment) as holder:
        assert holder.line()
        send(activemq, "/queue/playlist_edits", ["edit 1"], JMSXGroupID="jazz")
        holder.wait_for("Applied edit 1")
        with Tab(path, environment=activemq.environment) as later:
            assert later.line()
            edits = [f"edit {number}" for number in (2, 3, 4)]
            send(activemq, "/queue/playlist_edits", edits, JMSXGroupID="jazz")
            for edit in edits:
                holder.wait_for(f"Applied {edit}")
            later.press_ctrl_c()
            assert later.end() == (0, None, [])


# Scheduled delivery

REMINDERS = queue_of("reminders")
WAITING = schedule("reminders")


@pytest.mark.alone
def test_a_scheduled_message_is_in_no_queue_before_its_time(activemq):
    began = time.monotonic()
    send(activemq, "/queue/reminders", ["later"], AMQ_SCHEDULED_DELAY=3000)
    while messages(activemq, REMINDERS) is None:  # the queue itself comes with it
        assert messages(activemq, WAITING) == 1 or time.monotonic() - began >= 3
        time.sleep(0.05)
    # Never early, and half a second late at most where the machine is not busy.
    assert 3 <= time.monotonic() - began < 6
    wait_until(lambda: messages(activemq, REMINDERS) == 1)
    wait_until(lambda: messages(activemq, WAITING) is None)


def test_scheduled_messages_survive_the_death_of_the_broker(new_broker):
    activemq = new_broker("activemq")
    run(path_of("scheduled_producer"), environment=activemq.environment)
    activemq.instance.kill()
    activemq.instance.start(Report())
    with Tab(path_of("scheduled_consumer"), environment=activemq.environment) as tab:
        assert tab.line()
        lines = lines_of(tab, 6)
    assert sorted(lines) == [
        "Reminded of Last Stop, now",
        "Reminded of Low Tide, in 2 seconds",
        "Reminded of Night Train, in 1 second",
        *["Reminded of your daily mix, three times"] * 3,
    ]


def test_a_reset_takes_only_the_tutorials_scheduled_messages(activemq):
    kind = activemq.row.broker
    mine = schedule("somebody_elses")
    send(activemq, "/queue/reminders", ["a", "b"], AMQ_SCHEDULED_DELAY=60_000)
    send(activemq, "/queue/somebody_elses", ["c"], AMQ_SCHEDULED_DELAY=60_000)
    assert messages(activemq, WAITING) == 2
    kind.delete(activemq.settings, kind.creates["scheduled"])
    assert messages(activemq, WAITING) is None
    assert messages(activemq, mine) == 1
    kind.delete(activemq.settings, [mine])
    assert messages(activemq, mine) is None


# Exclusive consumers

PAYOUTS = ["long payout 1", "payout 2", "payout 3", "payout 4"]


def test_among_equals_the_first_is_chosen(activemq):
    path = path_of("exclusive_consumer")
    with in_order(path, activemq.environment) as (first, second):
        run(path_of("exclusive_producer"), environment=activemq.environment)
        first.wait_for("Paid payout 4")
        second.press_ctrl_c()
        assert second.end() == (0, None, [])


def test_each_payout_is_made_whoever_dies(activemq):
    """The main machine comes, dies, and comes again."""
    path = path_of("exclusive_consumer")
    with Tab(path, "spare", environment=activemq.environment) as spare:
        assert spare.line()
        with Tab(path, "main", environment=activemq.environment) as main:
            assert main.line()
            run(path_of("exclusive_producer"), environment=activemq.environment)
            assert main.line() == "Paying long payout 1"
            main.child.kill(9)
        assert spare.line() == "Paying long payout 1"
        with Tab(path, "main", environment=activemq.environment) as main:
            assert main.line()
            paid = [line for line in lines_of(main, 6) if line.startswith("Paid")]
            assert paid == [f"Paid {payout}" for payout in PAYOUTS[1:]]
        assert spare.line() == "Paid long payout 1"


# Transactions

TRACKS = queue_of("album_tracks")


def test_an_aborted_transaction_leaves_nothing(activemq, record):
    path = path_of("transactions_producer")
    with Tab(path, environment=activemq.environment) as producer:
        producer.wait_for("Sent track 2 of Night Train")
        assert not messages(activemq, TRACKS)
        producer.wait_for("Committed Night Train")
        assert messages(activemq, TRACKS) == 2
        producer.wait_for("Aborted Low Tide")
        assert producer.end() == (0, None, [])
    assert messages(activemq, TRACKS) == 2
    record("behaviours", "tied", "activemq", "other messages")


@pytest.mark.parametrize("ending", [2, 9], ids=["Ctrl-C", "kill"])
def test_a_producer_that_ends_before_its_commit_leaves_nothing(ending, activemq):
    path = path_of("transactions_producer")
    with Tab(path, environment=activemq.environment) as producer:
        producer.wait_for("Sent track 2 of Night Train")
        producer.child.kill(ending)
        producer.end()
    with Tab(path_of("transactions_consumer"), environment=activemq.environment) as tab:
        assert tab.line()
        send(activemq, "/queue/album_tracks", ["the end"])
        assert tab.line() == "Got the end"


def test_what_was_committed_survives_the_death_of_the_broker(new_broker):
    """And what was only sent does not come back with it."""
    activemq = new_broker("activemq")
    path = path_of("transactions_producer")
    with Tab(path, environment=activemq.environment) as producer:
        producer.wait_for("Sent track 1 of Low Tide")
        activemq.instance.kill()
        status, _, (line,) = producer.end()
        assert status == 1
        assert "python -m lab status activemq" in line
    activemq.instance.start(Report())
    assert messages(activemq, TRACKS) == 2


def test_an_acknowledgement_can_be_part_of_a_transaction(activemq):
    """A message and the result of the work change places at the commit."""
    send(activemq, "/queue/album_tracks", ["track"])
    with client_of(activemq.settings) as client:
        connection = client.connection
        connection.subscribe("/queue/album_tracks", "1", ack="client-individual")
        ack = client.take("MESSAGE").headers["ack"]
        for end, left in (connection.abort, (1, 0)), (connection.commit, (0, 1)):
            connection.begin(transaction="1")
            client.send("/queue/reviews", b"result", transaction="1")
            connection.ack(ack, transaction="1")
            end(transaction="1", receipt="end")
            client.take("RECEIPT")
            assert (messages(activemq, TRACKS), messages(activemq, REVIEWS)) == left


# Browsing

REVIEWS = queue_of("reviews")


def browse(activemq) -> list[str]:
    ended = run(path_of("browse_browser"), environment=activemq.environment)
    assert (ended.status, ended.error) == (0, [])
    return ended.out


def taken_out(activemq) -> int:
    """How many messages have ever left the queue, whoever took them."""
    (answer,) = jolokia(
        activemq.settings,
        {
            "type": "read",
            "mbean": f"{BROKER},destinationType=Queue,destinationName=reviews",
            "attribute": ["DequeueCount"],
        },
    )
    return answer["value"]["DequeueCount"]


def test_browsing_takes_nothing_away(activemq):
    run(path_of("browse_producer"), environment=activemq.environment)
    reviews = [f"review {number}" for number in (1, 2, 3)]
    for _ in range(2):
        assert browse(activemq) == [
            *(f"Waiting: {review}" for review in reviews),
            "Reviews that wait: 3",
        ]
        assert messages(activemq, REVIEWS) == 3
        assert taken_out(activemq) == 0
    with Tab(path_of("browse_consumer"), environment=activemq.environment) as consumer:
        assert consumer.line()
        assert lines_of(consumer, 3) == [f"Published {review}" for review in reviews]
        wait_until(lambda: messages(activemq, REVIEWS) == 0)
    assert taken_out(activemq) == 3
    assert browse(activemq) == ["Reviews that wait: 0"]


def test_a_browser_also_sees_what_a_consumer_has_in_hand(activemq):
    """To ActiveMQ a message is there until it is acknowledged."""
    run(path_of("browse_producer"), environment=activemq.environment)
    with client_of(activemq.settings) as client:
        client.connection.subscribe("/queue/reviews", "1", ack="client-individual")
        for _ in range(3):
            client.take("MESSAGE")
        assert browse(activemq)[-1] == "Reviews that wait: 3"


def test_a_browser_is_shown_no_more_than_400(activemq):
    """As the README says; the broker's counter knows better."""
    send(activemq, "/queue/reviews", [f"review {n}" for n in range(500)])
    assert browse(activemq)[-1] == "Reviews that wait: 400"
    assert messages(activemq, REVIEWS) == 500
