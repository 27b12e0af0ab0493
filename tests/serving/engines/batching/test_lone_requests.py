"""A request that is alone, and brief, runs on the thread that submits it; every other waits for a worker's thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from fakes import FakeObserver, FakeReply, FakeSession
from fovea.serving.engines.batching.batcher import BatchPolicy, take_batch
from fovea.serving.engines.batching.measured_cost import MeasuredCost
from fovea.serving.engines.batching.pipeline import Pipeline
from fovea.serving.engines.batching.worker import SessionSource
from fovea.serving.engines.queued_request import BatchKey, QueuedRequest

LONG_S = 20.0
BRIEF_S, LENGTHY_S = 1e-5, 1e-2


class Bench:
    """A pipeline whose runs were measured to take `cost_s`; it notes on which threads they are."""

    def __init__(self, cost_s: float | None, during_run: Callable[[], object], steady: bool) -> None:
        self.threads: list[int] = []
        self.session = FakeSession(lambda: (self.threads.append(threading.get_ident()), during_run()))
        self.run_when_closed: list[list[list[float]]] = []
        source = SessionSource(lambda: self.session, FakeSession, close=self._note_what_was_run)
        policy, measured = BatchPolicy(8, cost=lambda _key, _rows: cost_s), MeasuredCost(steady=steady)
        self.pipeline = Pipeline(source, policy, FakeObserver(), measured=measured)

    def _note_what_was_run(self) -> None:
        self.run_when_closed.append(list(self.session.batches))

    def send(self, value: float = 1.0, *, alone: bool = True) -> FakeReply:
        reply, x = FakeReply(), np.full((1, 1), value)
        self.pipeline.submit(QueuedRequest({"x": x}, 1, BatchKey("x"), reply, time.monotonic(), alone=alone))
        return reply

    def is_run_here(self, *, alone: bool = True) -> bool:
        """Whether a request runs on this thread."""
        assert self.send(alone=alone).done.wait(LONG_S)
        return self.threads[-1] == threading.get_ident()


@contextmanager
def bench(
    cost_s: float | None = BRIEF_S, during_run: Callable[[], object] = lambda: None, *, steady: bool = True
) -> Iterator[Bench]:
    made = Bench(cost_s, during_run, steady)
    yield made
    made.pipeline.close()


@contextmanager
def one_running(free: threading.Event) -> Iterator[tuple[Bench, Future[FakeReply]]]:
    """A bench, and a request that runs on the thread that submitted it until `free` is set."""
    running = threading.Event()
    with bench(during_run=lambda: (running.set(), free.wait(LONG_S))) as made, ThreadPoolExecutor(1) as pool:
        first = pool.submit(made.send)
        assert running.wait(LONG_S)
        try:
            yield made, first
        finally:
            free.set()


def work(seconds: float) -> None:
    """Take so much of the processor's time."""
    until_s = time.thread_time() + seconds
    while time.thread_time() < until_s:
        pass


def test_a_brief_request_that_is_alone_runs_on_the_thread_that_submits_it() -> None:
    with bench() as here:
        assert here.is_run_here()


def test_one_in_company_does_not() -> None:
    with bench() as here:
        assert not here.is_run_here(alone=False)


def test_one_that_takes_its_time_or_was_not_measured_does_not() -> None:
    for cost_s in (LENGTHY_S, None):
        with bench(cost_s) as here:
            assert not here.is_run_here()


def test_one_whose_cost_may_go_by_its_values_does_not() -> None:
    with bench(steady=False) as here:
        assert not here.is_run_here()


def test_a_failure_while_a_batch_is_taken_ends_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [MemoryError()]

    def failing(*words: Any) -> Any:
        if failures:
            raise failures.pop()
        return take_batch(*words)

    monkeypatch.setattr("fovea.serving.engines.batching.pipeline.take_batch", failing)
    with bench(steady=False) as here:
        assert here.send().done.wait(LONG_S)
    assert not failures


def test_those_that_come_while_one_runs_are_run_after_it() -> None:
    free = threading.Event()
    with one_running(free) as (here, _):
        later = [here.send(value, alone=alone) for value, alone in ((2.0, False), (3.0, True))]
        free.set()
        assert all(reply.done.wait(LONG_S) for reply in later)
    assert here.session.batches == [[1.0], [2.0, 3.0]]


def test_a_version_is_not_closed_before_one_has_run() -> None:
    free = threading.Event()
    with one_running(free) as (here, first), ThreadPoolExecutor(1) as pool:
        closing = pool.submit(here.pipeline.close)
        with pytest.raises(TimeoutError):
            closing.result(0.2)
        assert not here.pipeline.quiet
        free.set()
        closing.result(LONG_S)
        assert first.result(LONG_S).outputs is not None
    assert here.run_when_closed[0] == [[1.0]]
