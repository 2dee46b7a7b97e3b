"""Prints the figures of all five brokers together; status 1 when one is missed.

Run it with ``make bench``. README.md beside this file says what each figure means.
"""

import sys
from collections import ChainMap

from lab.brokers import BROKERS

from figures import Figures, brokers_of_their_own, run, seconds


def main() -> None:
    figures = Figures()
    with brokers_of_their_own(*BROKERS) as all_five:
        environment = ChainMap(*(measured.environment for measured in all_five))
        up = [sys.executable, "-m", "lab", "up", "--local"]
        taken = seconds(lambda: run(*up, environment=environment))
        figures.at_most("lab up, all five", taken, 45, "s")
        memory = sum(measured.instance.memory() for measured in all_five) / 1e9
        figures.at_most("memory of all five", memory, 2.0, "GB")
    sys.exit(figures.missed > 0)


if __name__ == "__main__":
    main()
