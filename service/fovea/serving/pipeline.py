"""One model version's path from admitted request to answered caller: a bounded queue and the workers behind it."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from math import inf
from queue import Empty, SimpleQueue

from fovea.contract.errors import DeadlineExceeded, FoveaError, QueueTimeout, VersionEnded
from fovea.serving.batcher import BatchPolicy, Taken, drop_dead, take_batch
from fovea.serving.forecast import refusal
from fovea.serving.observer import Observer, fail
from fovea.serving.queue_limit import QueueLimit
from fovea.serving.requests import Kind, Request, why_gone
from fovea.serving.waiting import Waiting
from fovea.serving.worker import SessionSource, Worker

_LONG_WAIT_S = 0.02
_KINDS_KEPT = 1024


class Pipeline:
    """Queue and workers of one version. `submit` may be called from any thread and never blocks for long."""

    def __init__(
        self, source: SessionSource, policy: BatchPolicy, observer: Observer, *, limit: QueueLimit | None = None
    ) -> None:
        self._policy, self._observer, self._limit = policy, observer, limit or QueueLimit()
        self._waiting = Waiting()
        self._known: dict[Kind, tuple[float, int]] = {}
        """What a row of a kind costs at best, and the most rows in a batch of it."""
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._idle = 0
        self._batch_s = inf
        """What the last batch took; the first one may take long."""
        self._busy_until_s: dict[Worker, float] = {}
        """Of each worker that has a batch in hand: when it should be done with it."""
        self._lock = threading.Lock()
        self._closed = False
        self._workers = [Worker(source, observer) for _ in range(source.instances)]
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), daemon=True, name="batch") for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._waiting.requests

    @property
    def quiet(self) -> bool:
        """True while nothing waits and nothing runs."""
        with self._lock:
            return not self._waiting.requests and not self._busy_until_s

    def submit(self, request: Request) -> None:
        """Admit a request; QueueFull, VersionEnded, DeadlineExceeded or QueueTimeout where it cannot be."""
        row_s, most_rows = self._known.get(request.kind) or self._look_up(request.kind)
        request.work_s = request.rows * row_s
        if self._may_wait_long(request, most_rows):
            request.reply.watch(self._caller_left)
        with self._lock:
            simple = request.due_s == inf and not self._closed and self._limit.admits(self._waiting, request.bytes)
            if simple:
                self._waiting.add(request)
        if not simple:
            self._submit_if_possible(request)
        if self._idle:  # a worker says it is idle before it looks at the queue a last time, so no request is missed
            self._bell.put(None)

    def _look_up(self, kind: Kind) -> tuple[float, int]:
        known = self._policy.row_s(kind), self._policy.rows_of(kind)
        if len(self._known) >= _KINDS_KEPT:
            self._known.clear()
        self._known[kind] = known
        return known

    def _submit_if_possible(self, request: Request) -> None:
        with self._lock:
            room = self._limit.admits(self._waiting, request.bytes)
            dead = Taken() if room else drop_dead(self._waiting, time.monotonic())
            refused = self._refusal(request)
            if refused is None:
                self._waiting.add(request)
        self._refuse(dead)
        if refused is not None:
            raise refused

    def _may_wait_long(self, request: Request, most_rows: int) -> bool:
        """Whether its caller may well leave while it waits: the next batch is full, or held back, or long in coming."""
        next_is_full = self._waiting.bytes * request.rows >= request.bytes * most_rows
        long = self._batch_s > _LONG_WAIT_S or request.work_s > _LONG_WAIT_S
        return next_is_full or long or self._policy.delay_s > 0

    def _refusal(self, request: Request) -> FoveaError | None:
        if self._closed:
            return VersionEnded("this version has been let go")
        if not self._limit.admits(self._waiting, request.bytes):
            return self._limit.full("queue", self._waiting)
        return None if request.due_s == inf else self._hopeless(request)

    def _hopeless(self, request: Request) -> FoveaError | None:
        """Why a request cannot be answered in time; None where it may be, or nothing is known of what it costs."""
        alone_s = self._policy.cost(request.kind, request.rows)
        if alone_s is None:
            return None
        now_s, workers = time.monotonic(), len(self._workers)
        own_s = self._first_free_s(now_s) + (alone_s if request.due_s == request.deadline_s else 0.0)
        if refusal(request, own_s + self._waiting.work_s / workers, now_s) is None:
            return None
        most = self._policy.rows_of(request.kind)
        ahead_s = self._waiting.ahead_s(request, most)  # the exact one takes a look at every request that waits
        return refusal(request, own_s + ahead_s / workers, now_s)

    def _first_free_s(self, now_s: float) -> float:
        """How long until a worker takes the next batch."""
        busy = self._busy_until_s.values()
        return max(0.0, min(busy) - now_s) if len(busy) == len(self._workers) else 0.0

    def _caller_left(self) -> None:
        for worker in self._workers:
            worker.caller_left()

    def close(self) -> None:
        """Refuse new requests, finish those that wait, end the workers."""
        with self._lock:
            self._closed = True
        for _ in self._threads:
            self._bell.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, worker: Worker) -> None:
        while not (self._closed and not self._waiting.requests):
            if not self._waiting.requests:
                self._rest(0.0)
                continue
            taken = self._take(worker)
            self._refuse(taken)
            if taken.batch:
                start_s = time.monotonic()
                worker.execute(taken.batch)
                self._batch_s = time.monotonic() - start_s
                with self._lock:
                    del self._busy_until_s[worker]
            elif taken.wait_s:
                self._rest(taken.wait_s)
        worker.close()

    def _take(self, worker: Worker) -> Taken:
        with self._lock:
            now_s = time.monotonic()
            policy = replace(self._policy, delay_s=0.0) if self._closed else self._policy
            taken = take_batch(self._waiting, now_s, policy)
            if taken.batch:
                self._busy_until_s[worker] = now_s + sum([request.work_s for request in taken.batch])
            if self._waiting.requests and self._idle and not taken.wait_s:
                self._bell.put(None)
            return taken

    def _rest(self, wait_s: float) -> None:
        self._idle += 1
        try:
            if wait_s or not (self._waiting.requests or self._closed):
                self._bell.get(timeout=wait_s or None)
        except Empty:
            pass
        finally:
            self._idle -= 1

    def _refuse(self, taken: Taken) -> None:
        now_s = time.monotonic()
        for request in taken.gone:
            fail(request, why_gone(request, now_s), self._observer)
        for request in taken.late:
            waited = f"after {(now_s - request.arrived_s) * 1e3:.1f} ms in the queue"
            expired = request.deadline_s is not None and request.deadline_s <= now_s
            error = DeadlineExceeded(f"deadline passed {waited}") if expired else QueueTimeout(f"timed out {waited}")
            fail(request, error, self._observer)
