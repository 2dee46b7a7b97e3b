"""The shape of a broker's row."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from lab.broker import Broker, Thing

Settings = Mapping[str, str]
ON_THEIR_WAY = 100  # messages, that a client sends before their confirms


Send = Callable[[bytes], None]


class Sender:
    """Sends bodies to one place: at once, or on a connection that is open already."""

    def __init__(self, connected: Callable[[Settings], AbstractContextManager[Send]]):
        self.connected = connected

    def __call__(self, settings: Settings, body: bytes) -> None:
        with self.connected(settings) as send:
            send(body)


class BadSetting(NamedTuple):
    """Settings with which no script can work, and what it must say about that."""

    name: str
    change: Callable[[Settings, int], dict[str, str]]
    """(settings of a live broker, a port that accepts and says nothing) -> changes."""
    says: tuple[str, ...]  # found in the script's one line
    status_says: str  # found in what `lab status` says


class Heard(NamedTuple):
    """How to make a script that waits print something."""

    script: str
    send: Sender  # to what it listens to
    line: str  # what it prints first: {body} for the body, * for anything
    takes_the_next: bool = True  # whether it lives to print the message after that
    is_hasty: bool = False  # whether two seconds without a processor may end it


class Usage(NamedTuple):
    """Arguments that a script must refuse."""

    script: str
    arguments: tuple[str, ...]


class Alone(NamedTuple):
    """What a producer prints when no consumer has ever been there."""

    script: str
    line: str  # every line starts like this
    keeps: bool  # whether a consumer that comes later gets the messages


class RpcServer(Protocol):
    """The other side of the RPC client: takes its request, replies what it likes."""

    def wait_for_request(self) -> None:
        """Return when a request has been taken. ``reply`` answers that one."""

    def reply(self, text: str, *, stale: bool = False) -> None:
        """Send metadata to the client; a stale reply has the id of another request."""


class Client(Protocol):
    """The broker's client library with nothing around it, at the work queue's tasks.

    Where they wait has been made by the work queue's scripts.
    """

    def send(
        self,
        settings: Settings,
        bodies: Iterable[bytes],
        confirmed: Callable[[bytes], None],
    ) -> None:
        """Send each of them, up to a hundred on their way at once.

        Calls ``confirmed`` with a body as soon as the broker has confirmed it. Raises
        what the client raises when the broker is gone.
        """

    def read_all(self, settings: Settings) -> list[bytes]:
        """Every task that somebody can read now who has never been there."""

    def consuming(
        self, settings: Settings
    ) -> AbstractContextManager[Callable[[float], bytes | None]]:
        """A consumer that is ready; its function returns the next task, acknowledged.

        It returns None where none has come within so many seconds, and raises what the
        client raises. The context ends without a word, whatever the broker's state.
        """

    def told_after_a_death(self, settings: Settings) -> str:
        """What a consumer is told about a task that another one has had.

        That one has gone without acknowledging it. The answer is made by ``told`` of
        what the second one really finds.
        """


def told(*, flag: bool, count: int | None) -> str:
    """The phrase for ``Client.told_after_a_death``; the count is of this attempt."""
    if count is not None:
        return f"the number of attempts: {count}"
    return "that it is not the first time, but no number" if flag else "nothing"


@dataclass(frozen=True)
class Row:
    broker: Broker
    bad_settings: Iterable[BadSetting]
    secret: str | None  # a word in the login that no message may show
    heard: Iterable[Heard]
    refused: Iterable[Usage]
    alone: Iterable[Alone]
    things: Callable[[Settings], set[Thing]]
    """All that scripts have created on the broker and is still there."""
    payments: int  # how many the scripts of `confirms` send
    count_payments: Callable[[Settings], AbstractContextManager[Callable[[], int]]]
    """A function that says how many payments the broker has, without delay."""
    rpc_server: Callable[[Settings], AbstractContextManager[RpcServer]]
    client: Client
    first_down: Callable[[Settings], dict[str, str]]
    """Settings with two addresses, of which nothing listens on the first."""
    from_the_beginning: tuple[str, ...]
    """Arguments with which a new listener of the fanout hears what is old; or none."""
    without_order: tuple[tuple[str, ...], tuple[str, ...]]
    """Arguments of the FIFO's consumer and producer that give the order up."""
    active_player: bool = True
    """Whether one player of the FIFO plays until it ends, and any other stands by."""
    heartbeat: Callable[[Settings], dict[str, str]] = lambda settings: {}
    """Settings with a short heartbeat, where its length is one."""
    make_lasting: Callable[[Settings], None] = lambda settings: None
    """What has been created survives a SIGKILL from then on."""
    lanes: int | None = None
    """On so many brokers the tests that share one run, each with some of the patterns,
    one pattern after the other: for a broker that is clean only when all of it rests.
    None: on one broker, all patterns at the same time."""
    slow_lanes: int = 2
    """Into so many parts its tests of ``tests/slow`` are divided: tests/order.py."""
    open_ports: int = 0
    """How many ports no setting keeps to loopback; its README names them."""
    class_in_every_script: bool = False
    """Whether its client wants an object of a class in each: the same class."""
    raises_plain_exceptions: bool = False
    """Whether its client raises Exception itself: a guard has to catch that."""
