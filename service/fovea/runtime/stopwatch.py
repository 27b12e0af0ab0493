"""What a run costs: the processor's time and the clock's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_THREADS = Path("/proc/self/task")


@dataclass(frozen=True)
class Duration:
    """What one run, or the least that any of several, took."""

    processor_s: float
    elapsed_s: float


Stopwatch = Callable[[Callable[[], object]], Duration]
"""Runs it, and says how long that took."""


def by_the_clock(run: Callable[[], object]) -> Duration:
    """For a device whose work is none of the processor's."""
    begun_s = time.perf_counter()
    run()
    elapsed_s = time.perf_counter() - begun_s
    return Duration(elapsed_s, elapsed_s)


class ProcessorTime:
    """Processor time of this thread and of those started since this was made: pools of sessions opened meanwhile.

    What others do, in this process or on this machine, makes a run last longer, and hardly costs it processor time.
    """

    def __init__(self) -> None:
        self._before = _threads()

    def __call__(self, run: Callable[[], object]) -> Duration:
        """See `Stopwatch`."""
        others = _threads() - self._before - {threading.get_native_id()}
        pools_s = _processor_s(others)
        begun_s, own_s = time.perf_counter(), time.thread_time()
        run()
        own_s, elapsed_s = time.thread_time() - own_s, time.perf_counter() - begun_s
        ended_s = _processor_s(others)
        return Duration(own_s + sum(ended_s[one] - pools_s[one] for one in pools_s.keys() & ended_s.keys()), elapsed_s)


def _threads() -> frozenset[int]:
    try:
        return frozenset(int(entry.name) for entry in _THREADS.iterdir())
    except OSError:
        return frozenset()


def _processor_s(threads: frozenset[int]) -> dict[int, float]:
    """Of those that are still there. Linux has a clock for every thread, whose number is made of the thread's."""
    found = {}
    for thread in threads:
        try:
            found[thread] = time.clock_gettime(~thread << 3 | 6)
        except OSError:
            continue
    return found
