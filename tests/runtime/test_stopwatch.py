"""Processor time of the threads that work on it, and of no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from fovea.runtime.stopwatch import ProcessorTime, by_the_clock


def burn(seconds: float) -> None:
    begun_s = time.thread_time()
    while time.thread_time() - begun_s < seconds:
        pass


@contextmanager
def helper() -> Iterator[Callable[[], None]]:
    """A thread of its own, which burns 0.05 s when it is asked to, as one of a session's pool does."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(burn, 0).result()
        yield lambda: pool.submit(burn, 0.05).result()


def test_what_this_thread_and_later_ones_work_counts() -> None:
    stopwatch = ProcessorTime()
    with helper() as ask:
        taken = stopwatch(lambda: (burn(0.05), ask()))
    assert taken.processor_s == pytest.approx(0.1, abs=0.03)
    assert taken.elapsed_s > taken.processor_s * 0.9


def test_what_others_work_meanwhile_does_not() -> None:
    with helper() as ask:
        taken = ProcessorTime()(ask)
    assert taken.processor_s < 0.02
    assert taken.elapsed_s > 0.05


def test_waiting_takes_time_by_the_clock_only() -> None:
    event = threading.Event()
    taken = ProcessorTime()(lambda: event.wait(0.05))
    assert taken.processor_s < 0.02
    assert by_the_clock(lambda: event.wait(0.05)).processor_s > 0.04
