"""One model version's path from admitted request to answered caller: a bounded queue and the workers behind it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from fovea.contract.errors import (
    Cancelled,
    DeadlineExceeded,
    Draining,
    ExecutionFailed,
    FoveaError,
    NotReady,
    QueueFull,
    QueueTimeout,
)
from fovea.serving.batcher import BatchPolicy, Request, Taken, Tensors, take_batch

log = logging.getLogger(__name__)

Outcome = Literal["ok", "invalid", "rejected", "deadline", "cancelled", "failed"]
OUTCOMES: dict[type[FoveaError], Outcome] = {
    QueueFull: "rejected",
    Draining: "rejected",
    NotReady: "rejected",
    QueueTimeout: "deadline",
    DeadlineExceeded: "deadline",
    Cancelled: "cancelled",
    ExecutionFailed: "failed",
}


class Session(Protocol):
    """What runs a batch; see `fovea.runtime.session.ModelSession`."""

    def gather(self, requests: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        """Copy the requests' rows into the session's buffers."""

    def run(self) -> None:
        """Run what was gathered."""

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
        """The outputs per request, as views that hold until the next gather."""


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """What one batch took, in seconds."""

    requests: int
    rows: int
    gather_s: float
    run_s: float
    split_s: float


class Observer(Protocol):
    """Told after callers are answered."""

    def batch(self, record: BatchRecord, queue_s: Sequence[float]) -> None:
        """A batch ran; `queue_s` is how long each of its requests had waited."""

    def batch_failed(self) -> None:
        """A batch failed as a whole; its halves are tried next, or its one request fails."""

    def requests(self, outcome: Outcome, duration_s: Sequence[float], rows: int) -> None:
        """Requests ended, together `rows` rows."""

    def sample(self, batch: Sequence[Request]) -> None:
        """These requests just ran together; for whoever wants to run them again."""


@dataclass(frozen=True)
class Workshop:
    """How a worker comes by its sessions: its own, and the one with attention maps, opened when first wanted."""

    open_session: Callable[[], Session]
    open_maps: Callable[[], Session]


class Pipeline:
    """Queue and workers of one version. `submit` may be called from any thread and never blocks."""

    def __init__(
        self, workshop: Workshop, policy: BatchPolicy, observer: Observer, *, max_queue: int, instances: int = 1
    ) -> None:
        self._workshop, self._policy, self._observer = workshop, policy, observer
        self._max_queue = max_queue
        self._waiting: deque[Request] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._idle = 0
        self._in_hand = 0
        self._taking = threading.Lock()
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
        return not self._waiting and not self._in_hand

    def submit(self, request: Request) -> None:
        """Admit a request; QueueFull or Draining where it cannot be."""
        if self._closed:
            raise Draining("the server is shutting down")
        if len(self._waiting) >= self._max_queue:
            raise QueueFull(f"queue full: {len(self._waiting)} requests wait, the limit is {self._max_queue}")
        self._waiting.append(request)
        self._take_back_if_closed(request)
        if self._idle:  # a worker says it is idle before it looks at the queue a last time, so no request is missed
            self._bell.put(None)

    def _take_back_if_closed(self, request: Request) -> None:
        """Where closing met admission, take the request back, unless a worker has it already."""
        if not self._closed:
            return
        with self._taking, suppress(ValueError):
            self._waiting.remove(request)
            raise Draining("the server is shutting down")

    def close(self) -> None:
        """Refuse new requests, finish those that wait, end the workers."""
        self._closed = True
        for _ in self._threads:
            self._bell.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        worker = _Worker(self._workshop, self._observer)
        while True:
            taken = self._take()
            self._refuse(taken)
            if taken.batch:
                worker.execute(taken.batch)
                with self._taking:
                    self._in_hand -= 1
            elif self._closed and not self._waiting:
                return
            elif not taken.gone and not taken.late:
                self._rest(taken.wait_s)

    def _take(self) -> Taken:
        with self._taking:
            policy = BatchPolicy(self._policy.max_rows) if self._closed else self._policy
            taken = take_batch(self._waiting, time.monotonic(), policy)
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
            request.reply.fail(Cancelled("the caller is gone"))
            self._observer.requests("cancelled", [now_s - request.arrived_s], request.rows)
        for request in taken.late:
            waited = f"after {(now_s - request.arrived_s) * 1e3:.1f} ms in the queue"
            expired = request.deadline_s is not None and request.deadline_s <= now_s
            request.reply.fail(
                DeadlineExceeded(f"deadline passed {waited}") if expired else QueueTimeout(f"timed out {waited}")
            )
            self._observer.requests("deadline", [now_s - request.arrived_s], request.rows)


class _Worker:
    """Runs batches on sessions of its own, one at a time."""

    def __init__(self, workshop: Workshop, observer: Observer) -> None:
        self._workshop, self._observer = workshop, observer
        self._sessions: dict[bool, Session] = {}

    def execute(self, batch: list[Request]) -> None:
        """Answer every request of a batch; a failing batch is retried in halves until the bad row stands alone."""
        start_s = time.monotonic()
        try:
            record = self._run(batch)
        except Exception as error:
            self._observer.batch_failed()
            self._retry(batch, error)
            return
        end_s = time.monotonic()
        self._observer.batch(record, [start_s - request.arrived_s for request in batch])
        self._observer.requests("ok", [end_s - request.arrived_s for request in batch], record.rows)
        self._observer.sample(batch)

    def _run(self, batch: list[Request]) -> BatchRecord:
        session = self._session(batch[0].kind.maps)
        started = time.perf_counter()
        session.gather([request.inputs for request in batch])
        gathered = time.perf_counter()
        session.run()
        ran = time.perf_counter()
        rows = [request.rows for request in batch]
        outputs = session.split(rows)
        for request, own in zip(batch, outputs, strict=True):
            self._answer(request, own)
        split = time.perf_counter()
        return BatchRecord(len(batch), sum(rows), gathered - started, ran - gathered, split - ran)

    def _answer(self, request: Request, outputs: Tensors) -> None:
        try:
            request.reply.answer(outputs)
        except Exception:
            log.exception("an answer could not be sent")
            request.reply.fail(ExecutionFailed("the answer could not be made"))

    def _session(self, maps: bool) -> Session:
        if maps not in self._sessions:
            self._sessions[maps] = self._workshop.open_maps() if maps else self._workshop.open_session()
        return self._sessions[maps]

    def _retry(self, batch: list[Request], error: Exception) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            self.execute(batch[:middle])
            self.execute(batch[middle:])
            return
        request = batch[0]
        if not isinstance(error, FoveaError):
            log.error("a batch failed", exc_info=error)
            error = ExecutionFailed("the model failed on this request")
        request.reply.fail(error)
        self._observer.requests("failed", [time.monotonic() - request.arrived_s], request.rows)
