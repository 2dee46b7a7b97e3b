"""Prints figures, some of them promised; ends with status 1 when one is missed.

    make bench                          all
    make bench PARTS="kafka all"        some: of a broker, or of all brokers together

README.md beside this file says what each figure means.
"""

import sys
from subprocess import CalledProcessError

from benchmarks import (
    bench_activemq,
    bench_all,
    bench_first_minute,
    bench_kafka,
    bench_pulsar,
    bench_rabbitmq,
    bench_rocketmq,
)
from benchmarks.figures import Figures
from lab.broker import LabError

PARTS = {
    "first-minute": bench_first_minute.measure,
    **{
        each.PART.broker: each.PART.measure
        for each in (
            bench_rabbitmq,
            bench_kafka,
            bench_pulsar,
            bench_activemq,
            bench_rocketmq,
        )
    },
    "all": bench_all.measure,
}


def main(*names: str) -> None:
    if unknown := set(names) - PARTS.keys():
        print(f"Usage: python -m benchmarks [{'|'.join(PARTS)}]...", file=sys.stderr)
        print(f"Not known: {', '.join(sorted(unknown))}", file=sys.stderr)
        sys.exit(2)
    figures = Figures()
    for name in names or PARTS:
        print(f"\n{name}", flush=True)
        try:
            PARTS[name](figures)
        except (LabError, CalledProcessError) as error:
            figures.missed.append(f"{name} did not get to its end: {error}")
            print(f"{figures.missed[-1]}   MISSED", flush=True)
    print(f"\nPromises kept: {figures.kept}, missed: {len(figures.missed)}")
    for each in figures.missed:
        print(f"    {each}")
    sys.exit(bool(figures.missed))


if __name__ == "__main__":
    main(*sys.argv[1:])
