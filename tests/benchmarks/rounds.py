"""How long to measure, and how sides are compared: in rounds that take turns, by their medians."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
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


def rates_in_turn(server: Server, sides: Mapping[str, Traffic | MixedTraffic], effort: Effort) -> dict[str, float]:
    """Requests a second of each side: the median of twice the rounds, in which neither always goes first."""
    traffic = {name: sized(server, one, effort.seconds) for name, one in sides.items()}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(effort.rounds * 2):
        for name in list(sides)[:: -1 if round_ % 2 else 1]:
            rates[name].append(server.send(traffic[name]).requests_per_s)
    return {name: statistics.median(found) for name, found in rates.items()}
