"""One version's queue and worker: admission, isolation, and the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fakes import FakeObserver, FakeReply, FakeSession
from fovea.contract.errors import Cancelled, DeadlineExceeded, ExecutionFailed, QueueFull, QueueTimeout, VersionEnded
from fovea.serving.engines.batching.batcher import BatchPolicy
from fovea.serving.engines.batching.pipeline import Pipeline
from fovea.serving.engines.batching.worker import SessionSource, Worker
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.engines.queued_request import BatchKey, QueuedRequest

LONG_S = 20.0


class Bench:
    """A pipeline over a fake session that runs only while `open` is set."""

    def __init__(
        self, max_queue: int = 100, max_rows: int = 8, delay_s: float = 0.0, cost_s: float | None = None
    ) -> None:
        self.open = threading.Event()
        self.running = threading.Event()
        self.session = FakeSession(self._before_run)
        self.observer = FakeObserver()
        source = SessionSource(lambda: self.session, lambda: FakeSession())
        policy = BatchPolicy(max_rows, delay_s, cost=lambda _kind, _rows: cost_s)
        self.pipeline = Pipeline(source, policy, self.observer, limit=QueueLimit(max_queue))

    def _before_run(self) -> None:
        self.running.set()
        assert self.open.wait(LONG_S)

    def send(self, *values: float, kind: str = "x", maps: bool = False, **times: Any) -> FakeReply:
        reply = FakeReply()
        x = np.array(values, np.float64).reshape(-1, 1)
        self.pipeline.submit(
            QueuedRequest({"x": x}, len(x), BatchKey(kind, maps), reply, time.monotonic(), bytes=x.nbytes, **times)
        )
        return reply

    def hold_worker(self) -> FakeReply:
        """Put the worker into a batch that does not end before `open` is set."""
        reply = self.send(0.0)
        assert self.running.wait(LONG_S)
        return reply


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.open.set()
    bench.pipeline.close()


def answered(reply: FakeReply) -> list[float]:
    assert reply.done.wait(LONG_S)
    assert reply.error is None
    assert reply.outputs is not None
    return reply.outputs["y"][:, 0].tolist()


def failed(reply: FakeReply) -> Exception:
    assert reply.done.wait(LONG_S)
    assert reply.error is not None
    return reply.error


def test_requests_that_wait_together_run_together_and_get_their_own_rows(bench: Bench) -> None:
    bench.hold_worker()
    replies = [bench.send(1.0), bench.send(2.0, 3.0), bench.send(4.0)]
    bench.open.set()
    assert [answered(reply) for reply in replies] == [[2.0], [4.0, 6.0], [8.0]]
    assert bench.session.batches == [[0.0], [1.0, 2.0, 3.0, 4.0]]


def test_a_cancelled_caller_does_not_hurt_its_batch_mates(bench: Bench) -> None:
    bench.hold_worker()
    first, cancelled, last = bench.send(1.0), bench.send(2.0), bench.send(3.0)
    cancelled.gone = True
    assert isinstance(failed(cancelled), Cancelled)
    bench.open.set()
    assert answered(first) == [2.0]
    assert answered(last) == [6.0]
    assert [2.0] not in bench.session.batches
    assert bench.session.batches[1] == [1.0, 3.0]


def test_callers_of_what_waits_or_runs_for_long_are_watched(bench: Bench) -> None:
    bench.open.set()
    answered(bench.send(1.0))
    bench.open.clear()
    bench.running.clear()
    running, waiting = bench.hold_worker(), bench.send(1.0)
    assert running.watched.wait(LONG_S)
    assert waiting.watched.wait(LONG_S)


def test_who_has_left_or_runs_out_of_time_is_told_while_others_run(bench: Bench) -> None:
    bench.hold_worker()
    leaving, late = bench.send(1.0), bench.send(2.0, queue_until_s=time.monotonic() + 0.03)
    leaving.leave()
    assert isinstance(failed(leaving), Cancelled)
    assert isinstance(failed(late), QueueTimeout)


def test_an_expired_request_is_refused_and_never_run(bench: Bench) -> None:
    bench.hold_worker()
    now_s = time.monotonic()
    late, impatient, well = bench.send(1.0, deadline_s=now_s), bench.send(2.0, queue_until_s=now_s), bench.send(3.0)
    bench.open.set()
    assert isinstance(failed(late), DeadlineExceeded)
    assert isinstance(failed(impatient), QueueTimeout)
    assert answered(well) == [6.0]
    assert bench.session.batches == [[0.0], [3.0]]


def test_a_bad_row_fails_alone_and_its_neighbours_get_their_answers(bench: Bench) -> None:
    bench.hold_worker()
    replies = [bench.send(float(value)) for value in (1, 2, -3, 4, 5)]
    bench.open.set()
    bad = replies.pop(2)
    assert [answered(reply) for reply in replies] == [[2.0], [4.0], [8.0], [10.0]]
    assert isinstance(failed(bad), ExecutionFailed)
    assert bench.observer.failed_batches >= 2


def test_a_full_queue_refuses_at_once_and_says_its_limit_and_load() -> None:
    bench = Bench(max_queue=2)
    bench.hold_worker()
    waiting = [bench.send(1.0), bench.send(2.0)]
    with pytest.raises(QueueFull, match=r"2 requests of 0\.0 MB wait, the limit is 2"):
        bench.send(3.0)
    bench.open.set()
    assert [answered(reply) for reply in waiting] == [[2.0], [4.0]]
    bench.pipeline.close()


def test_closing_answers_what_waits_and_refuses_what_comes(bench: Bench) -> None:
    held = bench.hold_worker()
    waiting = [bench.send(float(value)) for value in range(20)]
    closing = threading.Thread(target=bench.pipeline.close)
    closing.start()
    bench.open.set()
    closing.join(LONG_S)
    assert not closing.is_alive()
    assert answered(held) == [0.0]
    assert [answered(reply) for reply in waiting] == [[2.0 * value] for value in range(20)]
    with pytest.raises(VersionEnded):
        bench.send(1.0)


def test_an_answer_that_cannot_be_sent_leaves_the_others_untouched(bench: Bench) -> None:
    bench.hold_worker()
    broken, well = bench.send(1.0), bench.send(2.0)
    broken.before_answer = lambda: 1 / 0
    bench.open.set()
    assert answered(well) == [4.0]
    assert isinstance(failed(broken), ExecutionFailed)


def test_maps_run_in_a_session_of_their_own(bench: Bench) -> None:
    assert answered(bench.send(5.0, maps=True)) == [10.0]
    assert bench.session.batches == []


def test_a_request_that_cannot_be_answered_in_time_is_refused_at_once_and_told_why() -> None:
    bench = Bench(cost_s=0.08)
    bench.open.set()
    for times, error in (({"deadline_s": 0.01}, DeadlineExceeded), ({"deadline_s": -1.0}, DeadlineExceeded)):
        with pytest.raises(error, match=r"cannot be met: it has [\d.]+ ms left, and about 80\.0 ms of work"):
            bench.send(1.0, **{name: time.monotonic() + value for name, value in times.items()})
    assert answered(bench.send(1.0, deadline_s=time.monotonic() + LONG_S)) == [2.0]
    assert answered(bench.send(1.0, queue_until_s=time.monotonic() + 0.05)) == [2.0]  # it only has to begin in time
    bench.pipeline.close()


def test_work_that_waits_ahead_counts_against_a_deadline() -> None:
    bench = Bench(cost_s=8.0, max_rows=8)  # at best, a second a row
    bench.hold_worker()
    for _ in range(6):
        bench.send(1.0, priority=-1)
    with pytest.raises(QueueTimeout, match="would time out in the queue"):
        bench.send(1.0, queue_until_s=time.monotonic() + 1.0)
    bench.open.set()
    bench.pipeline.close()


def test_a_request_that_rides_in_an_urgent_batch_of_its_kind_is_not_refused_for_what_comes_after_it() -> None:
    bench = Bench(cost_s=800.0, max_rows=8)  # at best, 100 seconds a row
    bench.hold_worker()
    now_s = time.monotonic()
    bench.send(1.0, deadline_s=now_s + 3_600)
    others = [bench.send(1.0, kind="other", deadline_s=now_s + 3_700) for _ in range(40)]
    rider = bench.send(2.0, deadline_s=now_s + 3_720)
    with pytest.raises(DeadlineExceeded):
        bench.send(2.0, kind="other", deadline_s=now_s + 3_720)
    bench.open.set()
    assert answered(rider) == [4.0]
    assert [answered(reply) for reply in others] == [[2.0]] * 40
    bench.pipeline.close()


def test_what_the_batch_in_hand_will_take_counts_against_a_deadline() -> None:
    bench = Bench(cost_s=80.0, max_rows=1)
    bench.hold_worker()
    with pytest.raises(QueueTimeout, match="would time out in the queue"):
        bench.send(1.0, queue_until_s=time.monotonic() + 40.0)
    bench.open.set()
    bench.pipeline.close()


def two_workers() -> tuple[Pipeline, threading.Event, threading.Semaphore]:
    """A pipeline whose runs end once the event is set, and release the semaphore when they begin. "long" costs much."""
    free, running = threading.Event(), threading.Semaphore(0)

    def run() -> None:
        running.release()
        assert free.wait(LONG_S)

    source = SessionSource(lambda: FakeSession(run), FakeSession, instances=2)
    policy = BatchPolicy(1, cost=lambda kind, _rows: 100.0 if kind.shapes == "long" else 0.001)
    pipeline = Pipeline(source, policy, FakeObserver())
    return pipeline, free, running


def test_what_waits_ahead_is_shared_by_the_workers() -> None:
    pipeline, free, running = two_workers()

    def send(kind: str, left_s: float | None = None, **more: Any) -> FakeReply:
        reply, now_s = FakeReply(), time.monotonic()
        deadline_s = None if left_s is None else now_s + left_s
        pipeline.submit(QueuedRequest({"x": np.ones((1, 1))}, 1, BatchKey(kind), reply, now_s, deadline_s, **more))
        return reply

    for _ in range(2):
        send("short")
        assert running.acquire(timeout=LONG_S)
    for priority in (-1, -1, *[1] * 20):  # two before it, one for each worker; the others after it
        send("long", priority=priority)
    with pytest.raises(DeadlineExceeded):
        send("long", left_s=140.0)
    reply = send("long", left_s=190.0)
    free.set()
    assert answered(reply) == [2.0]
    pipeline.close()


def test_a_request_waits_for_the_first_worker_that_gets_free_not_for_the_last() -> None:
    pipeline, free, running = two_workers()
    replies = [FakeReply() for _ in range(3)]
    for reply, kind in zip(replies, ("short", "long", "short"), strict=True):
        deadline_s = time.monotonic() + LONG_S if kind == "short" else None
        pipeline.submit(QueuedRequest({"x": np.ones((1, 1))}, 1, BatchKey(kind), reply, time.monotonic(), deadline_s))
        if reply is not replies[-1]:
            assert running.acquire(timeout=LONG_S)
    free.set()
    assert answered(replies[-1]) == [2.0]
    pipeline.close()


def test_a_run_that_every_caller_has_left_is_terminated_and_the_next_batch_is_answered(bench: Bench) -> None:
    held = bench.hold_worker()
    waiting = bench.send(3.0)
    bench.session.on_terminate = bench.open.set
    held.leave()
    assert isinstance(failed(held), Cancelled)
    assert answered(waiting) == [6.0]
    assert bench.observer.outcomes[0] == "cancelled"


def test_a_caller_is_watched_also_where_its_session_took_long_to_open() -> None:
    opened, free = threading.Event(), threading.Event()
    session = FakeSession(lambda: free.wait(LONG_S))
    session.on_terminate = free.set

    def open_session() -> FakeSession:
        assert opened.wait(LONG_S)
        return session

    pipeline = Pipeline(SessionSource(open_session, open_session), BatchPolicy(1), FakeObserver())
    reply = FakeReply()
    pipeline.submit(QueuedRequest({"x": np.ones((1, 1))}, 1, BatchKey("x"), reply, time.monotonic()))
    assert reply.watched.wait(LONG_S)
    opened.set()
    reply.leave()
    assert isinstance(failed(reply), Cancelled)
    pipeline.close()


def test_who_has_left_is_not_run_again_with_the_halves_of_a_failed_batch() -> None:
    bad, leaving, well = FakeReply(), FakeReply(), FakeReply()
    session = FakeSession(lambda: setattr(leaving, "gone", True))
    batch = [
        QueuedRequest({"x": np.full((1, 1), value)}, 1, BatchKey("x"), reply, time.monotonic())
        for value, reply in ((-1.0, bad), (2.0, leaving), (3.0, well))
    ]
    Worker(SessionSource(lambda: session, FakeSession), FakeObserver()).execute(batch)
    assert isinstance(failed(bad), ExecutionFailed)
    assert isinstance(failed(leaving), Cancelled)
    assert answered(well) == [6.0]
    assert session.batches == [[-1.0, 2.0, 3.0], [-1.0], [3.0]]


def test_a_run_that_one_caller_still_waits_for_goes_on(bench: Bench) -> None:
    bench.hold_worker()
    leaving, staying = bench.send(1.0), bench.send(2.0)
    bench.running.clear()
    bench.open.set()
    assert answered(staying) == [4.0]
    leaving.gone = True
    assert bench.session.terminated == 0


def test_every_outcome_is_told_once(bench: Bench) -> None:
    bench.hold_worker()
    replies = [bench.send(1.0), bench.send(-1.0), bench.send(2.0, deadline_s=0.0)]
    bench.open.set()
    for reply in replies:
        assert reply.done.wait(LONG_S)
    bench.pipeline.close()
    assert sorted(bench.observer.outcomes) == ["deadline", "failed", "ok", "ok"]


def test_many_senders_and_two_workers_lose_nothing() -> None:
    sessions: list[FakeSession] = []
    observer = FakeObserver()

    def open_session() -> FakeSession:
        sessions.append(FakeSession())
        return sessions[-1]

    source = SessionSource(open_session, open_session, instances=2)
    pipeline = Pipeline(source, BatchPolicy(8), observer, limit=QueueLimit(10_000))
    replies: dict[int, FakeReply] = {}

    def send(start: int) -> None:
        for value in range(start, start + 500):
            replies[value] = FakeReply()
            x = np.full((1, 1), float(value))
            pipeline.submit(QueuedRequest({"x": x}, 1, BatchKey("x"), replies[value], time.monotonic()))

    threads = [threading.Thread(target=send, args=(1000 * index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipeline.close()
    assert {value: answered(reply) for value, reply in replies.items()} == {v: [2.0 * v] for v in replies}
    assert sum(observer.batch_rows) == 2000


def test_an_answer_that_comes_after_the_deadline_is_sent_and_counts_as_late() -> None:
    reply, observer, x = FakeReply(), FakeObserver(), np.ones((1, 1))
    passed_s = time.monotonic()
    late = QueuedRequest({"x": x}, 1, BatchKey("x"), reply, passed_s, deadline_s=passed_s)
    Worker(SessionSource(FakeSession, FakeSession), observer).execute([late])
    assert reply.outputs is not None
    assert observer.outcomes == ["deadline"]
