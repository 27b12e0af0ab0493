"""The batching engine of one version, from admitted request to answered caller: a bounded queue, and its workers."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from math import inf
from queue import Empty, SimpleQueue

from fovea.contract.errors import FoveaError, VersionEnded
from fovea.runtime.cost import BatchCost
from fovea.serving.engines.batching.batcher import BatchPolicy, Selection, drop_dead, take_batch
from fovea.serving.engines.batching.caller_watch import CallerWatch
from fovea.serving.engines.batching.forecast import Forecast, RowCosts
from fovea.serving.engines.batching.in_hand import InHand
from fovea.serving.engines.batching.lone_runs import LoneRuns
from fovea.serving.engines.batching.measured_cost import UNMEASURED, MeasuredCost
from fovea.serving.engines.batching.waiting import Waiting
from fovea.serving.engines.batching.worker import SessionSource, Worker
from fovea.serving.engines.engine import Load, Queueing
from fovea.serving.engines.observer import Observer, fail
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.engines.queued_request import QueuedRequest, why_gone, why_late

log = logging.getLogger(__name__)
_LIMIT = QueueLimit()
_LONG_S = 0.02


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
        self._lock = threading.Lock()
        self._closed = False
        self._workers = [Worker(source, observer, measured) for _ in range(source.instances)]
        self._in_hand = InHand(self._workers)
        self._lone_runs = LoneRuns(policy, measured)
        self._lookout = CallerWatch(self._look)
        self._threads = [threading.Thread(target=self._work, daemon=True, name="batch") for _ in self._workers]
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
    def load(self) -> Load:
        """What waits; see `Engine`."""
        return Load(self._waiting.work_s / self._source.instances, self.cost.usual_batch_s)

    @property
    def quiet(self) -> bool:
        """True while nothing waits and nothing runs."""
        with self._lock:
            return not (self._waiting.requests or self._in_hand)

    def submit(self, request: QueuedRequest) -> None:
        """Admit a request; QueueFull, VersionEnded, DeadlineExceeded or QueueTimeout where it cannot be."""
        request.work_s = request.rows * self._row_s[request.batch_key]
        with self._lock:
            simple = request.due_s == inf and not self._closed and self._limit.admits(self._waiting, request.bytes)
            if simple:
                self._waiting.add(request)
        if not simple:
            self._submit_if_possible(request)
        if self._lookout.asleep:
            self._lookout.wake()
        if self._lone_runs.allow(request):
            self._turn(alone=request)
        self._ring()

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
        return self._forecast.refusal(request, self._waiting, self._in_hand.first_free_s(now_s), now_s)

    def _look(self) -> bool:
        """Tell those whose time is up, and see who has left; whether anything waits or runs.

        gRPC tells of a caller that leaves when it is asked to, which costs a tenth of a short request. So it is asked
        for those only who have waited, or whose batch has run, for long.
        """
        now_s = time.monotonic()
        with self._lock:
            dead = drop_dead(self._waiting, now_s)
            at_hand = [*self._waiting, *self._in_hand.requests()]
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
        for worker in self._workers:
            worker.close()
        self._lookout.close()
        self._source.close()

    def _work(self) -> None:
        while not self._over:
            wait_s = self._turn()
            if wait_s is not None:
                self._rest(wait_s)
        self._ring()

    @property
    def _over(self) -> bool:
        return self._closed and self.quiet

    def _ring(self) -> None:
        """Wake a thread that rests, where there is something for it. It says that it is idle before it looks a last
        time, so no request is missed.
        """
        if self._idle and (self._waiting.requests or self._closed):
            self._bell.put(None)

    def _turn(self, *, alone: QueuedRequest | None = None) -> float | None:
        """Run what is due, or only this request, if nothing else waits. Where nothing is, for how long: 0 until the
        bell rings.

        What was taken is forgotten with the end of this: it is the callers' data.
        """
        worker = None
        try:
            taken = self._take(alone)
            if taken is None:
                return 0.0
            worker, selection = taken
            if selection.gone or selection.late:
                self._refuse(selection)
            if worker is not None:
                worker.execute(selection.batch)
            return selection.wait_s or None
        except Exception:  # a thread that ended would leave a queue that nobody works off
            log.exception("a worker's turn failed")
            return None
        finally:
            if worker is not None:
                with self._lock:
                    self._in_hand.end(worker)

    @property
    def _can_begin(self) -> bool:
        return bool(self._waiting.requests and self._in_hand.free)

    def _take(self, alone: QueuedRequest | None) -> tuple[Worker | None, Selection] | None:
        """A batch and who runs it; None where nothing waits, or nobody is free."""
        with self._lock:
            if not self._can_begin or (alone is not None and [*self._waiting] != [alone]):
                return None
            now_s = time.monotonic()
            policy = replace(self._policy, delay_s=0.0) if self._closed else self._policy
            selection = take_batch(self._waiting, now_s, policy)
            worker = self._in_hand.begin(selection.batch, now_s) if selection.batch else None
            if self._idle and not selection.wait_s and self._can_begin:
                self._bell.put(None)
            return worker, selection

    def _rest(self, wait_s: float) -> None:
        self._idle += 1
        try:
            if wait_s or not (self._can_begin or self._over):
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
