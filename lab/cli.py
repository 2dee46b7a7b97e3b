"""The commands of ``python -m lab``."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
from dotenv import load_dotenv
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab import docker
from lab.broker import (
    INTERRUPTED,
    ROOT,
    Broker,
    Endpoint,
    LabError,
    Report,
    Thing,
    Unavailable,
    fill,
)
from lab.brokers import BROKERS
from lab.libraries import MissingError
from lab.local import Instance, lab_home
from lab.walkthrough import Walkthrough, walkthroughs

AGREED = "LAB_RESET_AGREED"  # variable that answers the question of `reset`

console = Console(highlight=False)
errors = Console(highlight=False, stderr=True)

NEWCOMER = """\
Learn message brokers in terminal tabs. Type next:

  python -m lab up rabbitmq              start RabbitMQ, with Docker or without
  python -m lab run rabbitmq/work-queue  watch two workers share one producer's tasks
  python -m lab list                     see what else there is

Help for each command: python -m lab COMMAND --help
"""


class OneLineErrors(click.Group):
    """Reports whatever the user can mend in one line, with status 1."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except LabError as error:
            say(sentence(str(error)), "red", to=errors)
            context.exit(1)
        except KeyboardInterrupt:
            context.exit(INTERRUPTED)


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def say(text: str, style: str | None = None, *, to: Console = console) -> None:
    """Print a line as it is: no markup in it, not broken at the terminal's width."""
    to.print(escape(text), style=style, soft_wrap=True)


@click.group(
    cls=OneLineErrors,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.pass_context
def main(context: click.Context) -> None:
    """Start message brokers and replay the tutorial's walkthroughs.

    Exit status: 0 done; 1 something is wrong, the message says what; 2 a command
    line that cannot be understood; 130 stopped by Ctrl-C.
    """
    load_dotenv(ROOT / ".env")
    if context.invoked_subcommand is None:
        click.echo(NEWCOMER, nl=False)


def choose(_context, _parameter, names: tuple[str, ...]) -> list[Broker]:
    """The brokers with these names; all of them where none is named."""
    return [BROKERS[name] for name in names or BROKERS]


brokers_argument = click.argument(
    "brokers",
    metavar="[BROKER]...",
    nargs=-1,
    type=click.Choice(list(BROKERS)),
    callback=choose,
)


def instance(broker: Broker) -> Instance:
    """The broker as it is used on this machine: its data below ``.lab``."""
    return Instance(broker, lab_home() / broker.name, os.environ)


def where(here: Instance) -> str:
    return ", ".join(map(str, here.broker.endpoints(here.settings)))


class Progress(Report):
    """Steps as lines; on a terminal a bar shows how much has been downloaded."""

    def __call__(self, step: str) -> None:
        say(f"{step} ...")

    @contextmanager
    def bytes(self, total: int) -> Iterator[Callable[[int], None]]:
        if not console.is_terminal:
            yield lambda count: None
            return
        # Here, as in `run`: other commands would start later.
        from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Bars(*columns, console=console, transient=True) as bars:
            task = bars.add_task("", total=total)
            yield lambda count: bars.advance(task, count)


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """A report of the steps, and on a terminal a moving sign until its end."""
    with console.status(title) if console.is_terminal else nullcontext():
        yield Progress()


@main.command()
@brokers_argument
@click.option(
    "--docker/--local",
    "use_docker",
    default=None,
    help="Take this way. Without it: Docker where an engine answers, else local.",
)
def up(brokers: list[Broker], use_docker: bool | None) -> None:
    """Start brokers and wait until they answer. Without a name: all."""
    instances = [instance(broker) for broker in brokers]
    if use_docker is None:
        use_docker = docker.engine_answers()
    if use_docker or len(instances) == 1:
        for here in instances:
            say_it_is_up(here, *bring_up(here, use_docker))
    else:
        bring_up_together(instances)


def say_it_is_up(here: Instance, version: str, how: str) -> None:
    broker = here.broker
    say(f"{broker.title} {version} is up on {where(here)}, {how}.", "green")
    if broker.page and (
        not broker.page_needs_docker or docker.running(broker, here.settings)
    ):
        say(f"Its page in the browser: {fill(broker.page, here.settings)}")


def bring_up_together(instances: list[Instance]) -> None:
    """Start local brokers at the same time: each of them mostly waits.

    One that fails stops no other; raises the first LabError at the end.
    """
    failures: list[LabError] = []
    startable = []
    for here in instances:
        try:
            if not answers(here):
                here.values(Progress())  # downloads, one after the other
            startable.append(here)
        except LabError as failure:
            failures.append(failure)
    with progress("Starting"), ThreadPoolExecutor() as pool:
        starts = {
            pool.submit(bring_up, here, False, show=steps_only): here
            for here in startable
        }
        try:
            for done in as_completed(starts):
                try:
                    say_it_is_up(starts[done], *done.result())
                except LabError as failure:
                    failures.append(failure)
        except BaseException:  # Ctrl-C
            # Objects of their own: those that start must see that their broker ends.
            unfinished = [
                instance(here.broker)
                for start, here in starts.items()
                if not start.done()
            ]
            for here in unfinished:
                here.stop()
            wait(starts)
            for here in unfinished:
                here.stop()  # what has been launched in the meantime
            raise
    for failure in failures[1:]:
        say(sentence(str(failure)), "red", to=errors)
    if failures:
        raise failures[0]


def answers(here: Instance) -> bool:
    """Whether the broker does. Raises MissingError where nothing can ask it."""
    try:
        here.broker.probe(here.settings)
    except MissingError:
        raise
    except Unavailable:
        return False
    return True


@contextmanager
def steps_only(title: str) -> Iterator[Report]:
    """As ``progress``, where somebody else shows the moving sign."""
    yield Progress()


def bring_up(here: Instance, use_docker: bool, *, show=progress) -> tuple[str, str]:
    """Start a broker unless it is up; returns its version and who runs it.

    ``show`` makes a report of the steps from a title.
    """
    with here.locked():
        return bring_up_alone(here, use_docker, show)


def bring_up_alone(here: Instance, use_docker: bool, show) -> tuple[str, str]:
    broker = here.broker
    how = started_by_lab(here)
    if not how:
        here.stop()  # what has outlived the broker, or a broker on another port
    if how:
        with show(f"Waiting for {broker.title}"):
            return here.wait_until_ready(), f"{how}, as before"
    try:
        return broker.probe(here.settings), "not started by the lab"
    except Unavailable as error:
        if not error.refused:
            raise
    check_address(here)
    if use_docker:
        here.check_ports()
        docker.up(broker, here.settings)
        return here.wait_until_ready(), started_by_lab(here) or "in Docker"
    with show(f"Starting {broker.title}") as report:
        version = here.start(report)
    return version, started_by_lab(here) or ""


def started_by_lab(here: Instance) -> str:
    """How the lab runs the broker that the scripts use; empty where it does not."""
    if not all(is_ours(here, end) for end in here.broker.endpoints(here.settings)):
        return ""
    if here.is_running():
        return f"local, {here.memory() / 1e6:.0f} MB"
    return "in Docker" if docker.running(here.broker, here.settings) else ""


def is_ours(here: Instance, end: Endpoint) -> bool:
    """Whether a broker that the lab starts would answer there."""
    port = int(here.settings[here.broker.ports[0].setting])
    return end.host in ("localhost", "127.0.0.1") and end.port == port


def check_address(here: Instance) -> None:
    """Raises LabError where the scripts would not look for a broker that we start."""
    if not any(is_ours(here, end) for end in here.broker.endpoints(here.settings)):
        port = here.settings[here.broker.ports[0].setting]
        names = " and ".join(here.broker.addresses)
        raise LabError(
            f"{here.broker.title} would start on localhost:{port}, but nothing listens "
            f"on {where(here)}, as set in {names}. Make them agree in .env."
        )


@main.command()
@brokers_argument
def status(brokers: list[Broker]) -> None:
    """Say which brokers answer and, where one does not, why. Status 1 then."""
    all_up = True
    for broker in brokers:
        here = instance(broker)
        how = ""
        try:
            how = started_by_lab(here)
            version = broker.probe(here.settings)
        except Unavailable as error:
            all_up = False
            runs = f" (it runs, {how})" if how else ""
            state = "is down" if error.refused else "cannot be used"
            say(f"{broker.title} {state}{runs}: {error}", "red")
        else:
            how = how or "not started by the lab"
            say(f"{broker.title} {version} is up on {where(here)}, {how}.", "green")
    sys.exit(not all_up)


@main.command()
@brokers_argument
def down(brokers: list[Broker]) -> None:
    """Stop what the lab has started. Messages stay for the next time."""
    for broker in brokers:
        here = instance(broker)
        with progress(f"Stopping {broker.title}"):
            stopped = here.stop()
        # Also a container on other ports, from before a change of .env.
        if docker.containers(broker):
            docker.down(broker, here.settings)
            stopped = True
        if stopped:
            say(f"{broker.title} is down.")
        else:
            say(f"{broker.title}: the lab has none running, nothing to stop.")


@main.command()
@click.argument("broker", type=click.Choice(list(BROKERS)))
def show(broker: str) -> None:
    """Show what is on a broker: how many messages wait where, and who reads them."""
    here = instance(BROKERS[broker])
    here.broker.probe(here.settings)
    table = Table(box=None, pad_edge=False)
    table.add_column("What", no_wrap=True)
    table.add_column("Messages", justify="right")
    table.add_column("Consumers", justify="right")
    for thing, *numbers in sorted(here.broker.contents(here.settings)):
        figures = ["" if number is None else str(number) for number in numbers]
        table.add_row(escape(str(thing)), *figures)
    if table.rows:
        console.print(table)
    else:
        say(f"{here.broker.title} on {where(here)} holds nothing.")


@main.command()
@click.argument("broker", type=click.Choice(list(BROKERS)))
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
def logs(broker: str, follow: bool) -> None:
    """Show what a broker has logged."""
    here = instance(BROKERS[broker])
    # Also of a container that has ended: its log says why.
    if docker.containers(here.broker) and not here.processes():
        docker.logs(here.broker, here.settings, follow=follow)
    elif here.log.exists():
        how = ["-F", "-n", "100"] if follow else ["-n", "+1"]
        subprocess.run(["tail", *how, str(here.log)])
    else:
        raise LabError(f"the lab has not started {here.broker.title} yet.")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument(
    "broker", type=click.Choice([name for name in BROKERS if BROKERS[name].tool])
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def admin(broker: str, arguments: tuple[str, ...]) -> None:
    """Run a broker's own command-line tool, with or without Docker.

    Its exit status is the tool's: python -m lab admin rocketmq topicList
    """
    here = instance(BROKERS[broker])
    values = here.values(Progress())
    tool = here.broker.tool
    environment = {name: fill(text, values) for name, text in tool.environment.items()}
    done = subprocess.run(
        [*(fill(part, values) for part in tool.command), *arguments],
        env={**os.environ, **environment},
    )
    sys.exit(done.returncode)


def see(name: str) -> str:
    """Where the name would be that was meant."""
    broker = name.partition("/")[0]
    return f"See: python -m lab list {broker if broker in BROKERS else ''}".rstrip()


class WalkthroughName(click.ParamType):
    """A walkthrough by its name; ``--help`` and errors point to ``list``."""

    name = "walkthrough"

    def convert(self, value, param, ctx) -> Walkthrough:
        known = walkthroughs(BROKERS)
        if value not in known:
            self.fail(f"no walkthrough {value}. {see(value)}", param, ctx)
        return known[value]


@main.command(name="list")
@click.argument("broker", required=False, type=click.Choice(list(BROKERS)))
def list_(broker: str | None) -> None:
    """List the patterns by brokers, or the walkthroughs of a broker."""
    table = Table(box=None, pad_edge=False)
    if broker:
        known = walkthroughs([broker])
        table.add_column("Walkthrough", no_wrap=True)
        table.add_column("What it shows")
        for walkthrough in known.values():
            table.add_row(walkthrough.name, escape(walkthrough.concept))
        hint = f"Watch one: python -m lab run {next(iter(known))}"
    else:
        table.add_column("Walkthroughs of", no_wrap=True)
        counts = Counter(
            (walkthrough.folder.name, pattern_of(walkthrough))
            for walkthrough in walkthroughs(BROKERS).values()
        )
        for each in BROKERS.values():
            table.add_column(each.title, justify="right")
        for pattern in dict.fromkeys(pattern for _, pattern in counts):
            cells = (counts[name, pattern] or "-" for name in BROKERS)
            table.add_row(pattern, *map(str, cells))
        hint = f"What each shows: python -m lab list {next(iter(BROKERS))}"
    console.print(table)
    say(f"\n{hint}")


@main.command()
@click.argument("walkthrough", type=WalkthroughName())
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write what the tabs show at the end to this SVG file.",
)
def run(walkthrough: Walkthrough, picture: Path | None) -> None:
    """Run a walkthrough's tabs and compare them with its README.

    It starts from a clean slate: what an interrupted run has left on the broker is
    deleted first. On a broker that the lab has not started it deletes nothing, unless
    the walkthrough itself begins with a reset; then it asks.
    """
    from lab import screen
    from lab.replay import Difference, Replay

    broker = BROKERS[walkthrough.folder.name]
    here = instance(broker)
    broker.probe(here.settings)
    things = things_of(broker, walkthrough)
    if started_by_lab(here):
        # Only what may hold old messages: an exchange that goes takes the bindings of
        # scripts with it that the user has open in other tabs.
        broker.clear(here.settings, [each for each in things if each.keeps_messages])
    elif walkthrough.resets:
        ask_before_deleting(here, things)
    broker.run_setup(here.settings)
    with screen.view(console, walkthrough) as view:
        # Whoever gets here has agreed to the resets that the walkthrough shows.
        recording = screen.Recording(view, walkthrough)
        replay = Replay(walkthrough, {AGREED: "1"}, recording)
        signal.signal(signal.SIGINT, replay.interrupt)
        try:
            replay.run()
        except Difference as difference:
            failure = difference
        else:
            failure = None
    if failure:
        raise LabError(
            f"not as {walkthrough.readme} shows it: {failure}\n"
            f"Left-over messages? python -m lab reset {broker.name}"
        )
    say(f"Each tab printed what {walkthrough.readme} shows.", "green")
    if picture:
        try:
            recording.save(picture)
        except OSError as error:
            raise LabError(f"cannot write {picture}: {error.strerror}.") from None


def pattern_of(walkthrough: Walkthrough) -> str:
    """The pattern that it shows, of which there may be several walkthroughs."""
    name, slug = walkthrough.name.split("/")
    return BROKERS[name].pattern(slug)


def things_of(broker: Broker, walkthrough: Walkthrough) -> tuple[Thing, ...]:
    """What the walkthrough's pattern leaves behind."""
    return broker.creates.get(pattern_of(walkthrough), ())


class WhatToReset(click.ParamType):
    """``rabbitmq``, or one pattern of it: ``rabbitmq/work-queue``."""

    name = "broker[/pattern]"

    def convert(self, value, param, ctx) -> tuple[Broker, tuple[Thing, ...]]:
        name, _, pattern = value.partition("/")
        if name in BROKERS and not pattern:
            return BROKERS[name], tuple(BROKERS[name].all_things())
        if name in BROKERS and pattern in BROKERS[name].creates:
            return BROKERS[name], BROKERS[name].creates[pattern]
        known = walkthroughs(BROKERS)
        if value not in known:
            self.fail(f"nothing named {value}. {see(value)}", param, ctx)
        return BROKERS[name], things_of(BROKERS[name], known[value])


@main.command()
@click.argument("what", metavar="BROKER[/PATTERN]", type=WhatToReset())
@click.option("--yes", is_flag=True, envvar=AGREED, help="Do not ask.")
def reset(what: tuple[Broker, tuple[Thing, ...]], yes: bool) -> None:
    """Delete what the tutorial has created on a broker, and nothing else.

    Asks first on a broker that the lab has not started. Scripts that still run lose
    their queues or bindings: start them again.
    """
    broker, things = what
    here = instance(broker)
    broker.probe(here.settings)
    if not (yes or started_by_lab(here)):
        ask_before_deleting(here, things)
    broker.clear(here.settings, things)
    say(f"Gone from {broker.title}: {', '.join(map(str, things))}.")


def ask_before_deleting(here: Instance, things: tuple[Thing, ...]) -> None:
    click.confirm(
        f"The lab has not started {here.broker.title} on {where(here)}. "
        f"Delete {', '.join(map(str, things))} there?",
        abort=True,
    )
