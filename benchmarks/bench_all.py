"""What is measured of all five brokers together."""

from benchmarks.figures import Figures, brokers_of_their_own, compare_starts, lab_up
from lab.brokers import BROKERS

LONGER = 3  # times the slowest of them alone


def measure(figures: Figures) -> None:
    for name in BROKERS:
        if name not in figures.starts:
            compare_starts(figures, name)
    with brokers_of_their_own(*BROKERS) as all_five:
        taken = lab_up(*all_five)
        figures.tell("lab up, all five", taken)
        slowest = max(figures.starts[name] for name in BROKERS)
        ratio = taken / slowest
        figures.at_most("lab up, against the slowest alone", ratio, LONGER, "times")
        memory = sum(measured.instance.memory() for measured in all_five) / 1e9
        figures.at_most("memory of all five", memory, 2.0, "GB")
