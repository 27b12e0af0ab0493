"""The batching engine of one version, from admitted request to answered caller: a bounded queue, and its workers."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from math import inf
from queue import Empty, SimpleQueue
from typing import NamedTuple

from fovea.contract.errors import FoveaError, VersionEnded
from fovea.runtime.cost import BatchCost
from fovea.serving.engines.batching.batcher import BatchPolicy, Selection, drop_dead, take_batch
from fovea.serving.engines.batching.caller_watch import CallerWatch
from fovea.serving.engines.batching.forecast import Forecast, RowCosts
from fovea.serving.engines.batching.measured_cost import UNMEASURED, MeasuredCost
from fovea.serving.engines.batching.waiting import Waiting
from fovea.serving.engines.batching.worker import SessionSource, Worker
from fovea.serving.engines.engine import Queueing
from fovea.serving.engines.observer import Observer, fail
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.engines.queued_request import QueuedRequest, why_gone, why_late

log = logging.getLogger(__name__)
_LIMIT = QueueLimit()
_LONG_S = 0.02


class _InHand(NamedTuple):
    """A batch that a worker has taken, and when it should be done with it."""

    batch: list[QueuedRequest]
    until_s: float


class Pipeline:
    """Queue and workers of one version; see `Engine`."""

    def __init__(
        self,
        source: SessionSource,
        policy: BatchPolicy,
        observer: Observer,
        *,
        limit: QueueLimit = _LIMIT,
        measured: MeasuredCost = UNMEASURED,
    ) -> None:
        self._source, self._policy, self._observer, self._limit = source, policy, observer, limit
        self.cost: BatchCost = measured.cost
        self.queueing = Queueing(limit.requests, policy.delay_s, policy.sizes(self.cost.curves))
        self._waiting = Waiting()
        self._row_s = RowCosts(policy)
        self._forecast = Forecast(policy, source.instances)
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._idle = 0
        self._in_hand: dict[Worker, _InHand] = {}
        """The batch that each busy worker has."""
        self._lock = threading.Lock()
        self._closed = False
        self._workers = [Worker(source, observer, measured) for _ in range(source.instances)]
        self._lookout = CallerWatch(self._look)
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), daemon=True, name="batch") for worker in self._workers
        ]
        self._start()

    def _start(self) -> None:
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError:  # no more threads are to be had
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self.close()
            raise

    @property
    def waiting(self) -> int:
        """Requests in the queue; see `Engine`."""
        return self._waiting.requests

    @property
    def quiet(self) -> bool:
        """True while nothing waits and nothing runs."""
        with self._lock:
            return not self._waiting.requests and not self._in_hand

    def submit(self, request: QueuedRequest) -> None:
        """Admit a request; QueueFull, VersionEnded, DeadlineExceeded or QueueTimeout where it cannot be."""
        request.work_s = request.rows * self._row_s[request.batch_key]
        with self._lock:
            simple = request.due_s == inf and not self._closed and self._limit.admits(self._waiting, request.bytes)
            if simple:
                self._waiting.add(request)
        if not simple:
            self._submit_if_possible(request)
        if self._idle:  # a worker says it is idle before it looks at the queue a last time, so no request is missed
            self._bell.put(None)
        if self._lookout.asleep:
            self._lookout.wake()

    def _submit_if_possible(self, request: QueuedRequest) -> None:
        with self._lock:
            refused = self._refusal(request)
            if refused is None:
                self._waiting.add(request)
        if refused is not None:
            raise refused

    def _refusal(self, request: QueuedRequest) -> FoveaError | None:
        if self._closed:
            return VersionEnded("this version has been let go")
        if not self._limit.admits(self._waiting, request.bytes):
            return self._limit.full("queue", self._waiting)
        now_s = time.monotonic()
        return self._forecast.refusal(request, self._waiting, self._first_free_s(now_s), now_s)

    def _first_free_s(self, now_s: float) -> float:
        """How long until a worker takes the next batch."""
        until_s = [one.until_s for one in self._in_hand.values()]
        return max(0.0, min(until_s) - now_s) if len(until_s) == len(self._workers) else 0.0

    def _look(self) -> bool:
        """Tell those whose time is up, and see who has left; whether anything waits or runs.

        gRPC tells of a caller that leaves when it is asked to, which costs a tenth of a short request. So it is asked
        for those only who have waited, or whose batch has run, for long.
        """
        now_s = time.monotonic()
        with self._lock:
            dead = drop_dead(self._waiting, now_s)
            at_hand = [*self._waiting, *(request for one in self._in_hand.values() for request in one.batch)]
        self._refuse(dead)
        for request in at_hand:
            if now_s - request.arrived_s > _LONG_S:
                request.reply.watch()
        for worker in self._workers:
            worker.end_if_left()
        return bool(at_hand)

    def close(self) -> None:
        """Refuse new requests, finish those that wait, end the workers."""
        with self._lock:
            self._closed = True
        for _ in self._threads:
            self._bell.put(None)
        for thread in self._threads:
            thread.join()
        self._lookout.close()
        self._source.close()

    def _work(self, worker: Worker) -> None:
        while not (self._closed and not self._waiting.requests):
            try:
                self._turn(worker)
            except Exception:  # a worker that ended would leave a queue that nobody works off
                log.exception("a worker's turn failed")
        worker.close()

    def _turn(self, worker: Worker) -> None:
        """Run what is due, or rest. What was taken is forgotten with the end of this: it is the callers' data."""
        if not self._waiting.requests:
            self._rest(0.0)
            return
        selection = self._take(worker)
        try:
            if selection.gone or selection.late:
                self._refuse(selection)
            if selection.batch:
                worker.execute(selection.batch)
        finally:
            with self._lock:
                self._in_hand.pop(worker, None)
        if selection.wait_s:
            self._rest(selection.wait_s)

    def _take(self, worker: Worker) -> Selection:
        with self._lock:
            now_s = time.monotonic()
            policy = replace(self._policy, delay_s=0.0) if self._closed else self._policy
            selection = take_batch(self._waiting, now_s, policy)
            if selection.batch:
                until_s = now_s + sum([request.work_s for request in selection.batch])
                self._in_hand[worker] = _InHand(selection.batch, until_s)
            if self._waiting.requests and self._idle and not selection.wait_s:
                self._bell.put(None)
            return selection

    def _rest(self, wait_s: float) -> None:
        self._idle += 1
        try:
            if wait_s or not (self._waiting.requests or self._closed):
                self._bell.get(timeout=wait_s or None)
        except Empty:
            pass
        finally:
            self._idle -= 1

    def _refuse(self, selection: Selection) -> None:
        now_s = time.monotonic()
        for request in selection.gone:
            fail(request, why_gone(request, now_s), self._observer)
        for request in selection.late:
            fail(request, why_late(request, now_s, self._waiting.requests), self._observer)
