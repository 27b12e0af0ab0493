"""How long to measure, and how sides are compared: in rounds that take turns, by their medians."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from tests.benchmarks.load import MixedTraffic, Traffic
from tests.benchmarks.processes import Server

T = TypeVar("T", Traffic, MixedTraffic)


@dataclass(frozen=True)
class Effort:
    """How long to measure: `rounds` of each side in turn, each of about `seconds`."""

    rounds: int
    seconds: float
    memory_requests: tuple[int, int]
    starts: int


FULL = Effort(rounds=5, seconds=2.0, memory_requests=(20_000, 200_000), starts=5)
SHORT = Effort(rounds=3, seconds=1.0, memory_requests=(5_000, 20_000), starts=1)


def sized(server: Server, traffic: T, seconds: float) -> T:
    """So many requests that they take about that long; finding out warms the server up."""
    fewest = max(50, 4 * traffic.in_flight)
    rate = server.send(replace(traffic, requests=fewest)).requests_per_s
    rate = server.send(replace(traffic, requests=max(fewest, int(rate / 2)))).requests_per_s
    return replace(traffic, requests=max(fewest, int(rate * seconds)))


@dataclass(frozen=True)
class Rounds:
    """A figure of each side, round by round."""

    figures: Mapping[str, Sequence[float]]

    def median(self, side: str) -> float:
        """Over all rounds."""
        return statistics.median(self.figures[side])

    def ratio(self, above: str, below: str) -> float:
        """Of the medians."""
        return self.median(above) / self.median(below)

    def noise(self, above: str, below: str) -> float:
        """Twice the standard error of the rounds' ratios: a smaller difference between the sides shows nothing."""
        logs = [math.log(a / b) for a, b in zip(self.figures[above], self.figures[below], strict=True)]
        return 2 * statistics.stdev(logs) / math.sqrt(len(logs))


def figures_in_turn(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure each side once a round; each round begins with another side."""
    names = list(sides)
    figures: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(rounds):
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            figures[name].append(sides[name]())
    return figures


def in_turn(sides: Mapping[str, Callable[[], float]], rounds: int) -> Rounds:
    """The same, to be compared."""
    return Rounds(figures_in_turn(sides, rounds))


def rates_in_turn(
    server: Server, sides: Mapping[str, Traffic | MixedTraffic], effort: Effort, times: int = 2
) -> Rounds:
    """Requests a second of each side, in so many times the usual rounds."""
    traffic = {name: sized(server, one, effort.seconds) for name, one in sides.items()}
    runs = {name: partial(_rate, server, one) for name, one in traffic.items()}
    return in_turn(runs, effort.rounds * times)


def _rate(server: Server, traffic: Traffic | MixedTraffic) -> float:
    return server.send(traffic).requests_per_s
