"""One model version's path from admitted request to answered caller: a bounded queue and the workers behind it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from math import inf
from queue import Empty, SimpleQueue

from fovea.contract.errors import Cancelled, DeadlineExceeded, QueueFull, QueueTimeout, VersionEnded
from fovea.serving.batcher import BatchPolicy, Request, Taken, drop_dead, take_batch
from fovea.serving.worker import Observer, Worker, Workshop, fail

_MB = 1024 * 1024
_LONG_WAIT_S = 0.02


@dataclass(frozen=True)
class QueueLimit:
    """What may wait: so many requests, and so many bytes of input in all."""

    requests: int = 1024
    bytes: int = 1024 * _MB


class Pipeline:
    """Queue and workers of one version. `submit` may be called from any thread and never blocks for long."""

    def __init__(
        self, workshop: Workshop, policy: BatchPolicy, observer: Observer, *, limit: QueueLimit, instances: int = 1
    ) -> None:
        self._workshop, self._policy, self._observer = workshop, policy, observer
        self._limit = limit
        self._waiting: deque[Request] = deque()
        self._waiting_bytes = 0
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._idle = 0
        self._in_hand = 0
        self._batch_s = inf
        """What the last batch took; the first one may take long."""
        self._lock = threading.Lock()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, daemon=True, name="batch") for _ in range(instances)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def quiet(self) -> bool:
        """True while nothing waits and nothing runs."""
        with self._lock:
            return not self._waiting and not self._in_hand

    def submit(self, request: Request) -> None:
        """Admit a request; QueueFull or VersionEnded where it cannot be."""
        if self._may_wait_long(request):
            request.reply.watch()
        with self._lock:
            dead = Taken() if self._has_room(request) else drop_dead(self._waiting, time.monotonic())
            self._waiting_bytes -= dead.bytes
            admitted = self._has_room(request) and not self._closed
            if admitted:
                self._waiting.append(request)
                self._waiting_bytes += request.bytes
        self._refuse(dead)
        if not admitted:
            self._turn_away()
        if self._idle:  # a worker says it is idle before it looks at the queue a last time, so no request is missed
            self._bell.put(None)

    def _may_wait_long(self, request: Request) -> bool:
        """Whether its caller may well leave while it waits: the next batch is full, or held back, or long in coming."""
        next_is_full = self._waiting_bytes * request.rows >= request.bytes * self._policy.rows_of(request.kind)
        return next_is_full or self._batch_s > _LONG_WAIT_S or self._policy.delay_s > 0

    def _has_room(self, request: Request) -> bool:
        fits = self._waiting_bytes + request.bytes <= self._limit.bytes or not self._waiting
        return len(self._waiting) < self._limit.requests and fits

    def _turn_away(self) -> None:
        if self._closed:
            raise VersionEnded("this version has been let go")
        load = f"{len(self._waiting)} requests of {self._waiting_bytes / _MB:.1f} MB wait"
        raise QueueFull(f"queue full: {load}, the limit is {self._limit.requests} and {self._limit.bytes // _MB} MB")

    def close(self) -> None:
        """Refuse new requests, finish those that wait, end the workers."""
        with self._lock:
            self._closed = True
        for _ in self._threads:
            self._bell.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        worker = Worker(self._workshop, self._observer)
        while True:
            taken = self._take()
            self._refuse(taken)
            if taken.batch:
                start_s = time.monotonic()
                worker.execute(taken.batch)
                self._batch_s = time.monotonic() - start_s
                with self._lock:
                    self._in_hand -= 1
            elif self._closed and not self._waiting:
                return
            elif not taken.gone and not taken.late:
                self._rest(taken.wait_s)

    def _take(self) -> Taken:
        with self._lock:
            policy = replace(self._policy, delay_s=0.0) if self._closed else self._policy
            taken = take_batch(self._waiting, time.monotonic(), policy)
            self._waiting_bytes -= taken.bytes
            if taken.batch:
                self._in_hand += 1
            if self._waiting and self._idle and not taken.wait_s:
                self._bell.put(None)
            return taken

    def _rest(self, wait_s: float) -> None:
        self._idle += 1
        try:
            if wait_s or not (self._waiting or self._closed):
                self._bell.get(timeout=wait_s or None)
        except Empty:
            pass
        finally:
            self._idle -= 1

    def _refuse(self, taken: Taken) -> None:
        now_s = time.monotonic()
        for request in taken.gone:
            fail(request, Cancelled("the caller is gone"), self._observer)
        for request in taken.late:
            waited = f"after {(now_s - request.arrived_s) * 1e3:.1f} ms in the queue"
            expired = request.deadline_s is not None and request.deadline_s <= now_s
            error = DeadlineExceeded(f"deadline passed {waited}") if expired else QueueTimeout(f"timed out {waited}")
            fail(request, error, self._observer)
