"""Timing on a shared machine: all sides in turn, round by round, so that what disturbs one disturbs the others too."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from tests.benchmarks.rounds import figures_in_turn

Run = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Effort:
    """How long to measure: `rounds` of all sides in turn; a side runs for `slice_s`, `least_runs` times at least."""

    rounds: int
    slice_s: float
    least_runs: int

    def times(self, factor: float) -> Effort:
        """The same with longer slices."""
        return replace(self, slice_s=self.slice_s * factor)


@dataclass(frozen=True)
class Spread:
    """The median over rounds, between the lower and the upper quartile."""

    median: float
    low: float
    high: float


def interleaved(sides: Mapping[str, Run], effort: Effort, clock: Clock = time.thread_time) -> dict[str, list[float]]:
    """Seconds of each side, round by round: the quickest run of its slice. Each round begins with another side.

    The clock is this thread's own processor time, so that what others take of the core does not count; what runs on
    several threads needs `time.perf_counter`.
    """
    slices = {name: partial(_quickest, run, effort, clock) for name, run in sides.items()}
    return figures_in_turn(slices, effort.rounds)


def _quickest(run: Run, effort: Effort, clock: Clock) -> float:
    best = float("inf")
    until = time.perf_counter() + effort.slice_s
    runs = 0
    while runs < effort.least_runs or time.perf_counter() < until:
        begun = clock()
        run()
        best = min(best, clock() - begun)
        runs += 1
    return best


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """above / below, paired by round."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles; one value is its own spread."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return Spread(statistics.median(values), low, high)


@contextmanager
def on_core(number: int) -> Iterator[None]:
    """Keep this thread, and the threads of sessions opened meanwhile, on one of the cores that it may use."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [sorted(before)[number]])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
