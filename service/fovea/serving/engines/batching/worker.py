"""Runs batches: gather, run, split, answer. A failing batch is retried in halves until the bad row stands alone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from operator import attrgetter
from typing import Any, Protocol

from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, FoveaError, NotReady
from fovea.runtime.arrays import Arrays
from fovea.serving.engines.batching.measured_cost import UNMEASURED, MeasuredCost
from fovea.serving.engines.observer import Observer, fail, tell
from fovea.serving.engines.outcomes import Outcome, outcome_of
from fovea.serving.engines.queued_request import QueuedRequest, why_gone
from fovea.serving.engines.ran_batch import RanBatch, Stages

log = logging.getLogger(__name__)
_OPEN_AGAIN_S = 30.0
_FACTS = attrgetter("inputs", "rows", "arrived_s")


class Session(Protocol):
    """What runs a batch; see `fovea.runtime.session.ModelSession`."""

    attention_s: Mapping[str, float]

    @property
    def padding_ratio(self) -> float:
        """The share of the gathered batch that is padding."""

    def gather(self, requests: Sequence[Arrays]) -> None:
        """Copy the requests' rows into the session's buffers."""

    def run(self) -> None:
        """Run what was gathered."""

    def terminate(self) -> None:
        """From another thread: let the run in progress fail at its next operator."""

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
        """The outputs per request, as views that hold until the next gather."""


@dataclass(frozen=True)
class SessionSource:
    """How a worker comes by its sessions: its own, and the one with attention maps, opened when first wanted."""

    open_session: Callable[[], Session]
    open_maps: Callable[[], Session]
    instances: int = 1
    """Workers, each with sessions of its own."""
    close: Callable[[], None] = lambda: None
    """Let go of those that no worker came to open."""


@dataclass(slots=True, eq=False)
class _Run:
    batch: list[QueuedRequest]
    session: Session
    terminated: bool = False


class Worker:
    """Runs batches on sessions of its own, one at a time. Nothing that happens in a batch ends it."""

    def __init__(self, source: SessionSource, observer: Observer, measured: MeasuredCost = UNMEASURED) -> None:
        self._source, self._observer, self._measured = source, observer, measured
        self._sessions: dict[bool, Session | FoveaError] = {}
        self._again_s: dict[bool, float] = {}
        """When those that could not be opened are tried again: too little memory, say, may pass."""
        self._in_progress: _Run | None = None
        self._lock = threading.Lock()

    def execute(self, batch: list[QueuedRequest]) -> None:
        """Answer every request of a batch, then tell the observer."""
        session = self._session(batch[0].batch_key.maps)
        if isinstance(session, FoveaError):
            for request in batch:
                self._fail(request, session)
            return
        run = _Run(batch, session)
        try:
            self._run(run)
        except Exception as error:
            tell(self._observer.batch_failed)
            self._left_behind(batch) if run.terminated else self._retry(batch, error)

    def close(self) -> None:
        """Let go of the sessions."""
        self._sessions.clear()

    def end_if_left(self) -> None:
        """End a run that nobody waits for any more."""
        with self._lock:
            run = self._in_progress
            if run is not None and not run.terminated and all(request.reply.gone for request in run.batch):
                run.terminated = True
                run.session.terminate()

    def _session(self, maps: bool) -> Session | FoveaError:
        """The session, opened once; where it cannot be opened, the reason, until it is worth another try."""
        session = self._sessions.get(maps)
        if session is None or (isinstance(session, FoveaError) and time.monotonic() >= self._again_s[maps]):
            session = self._sessions[maps] = self._opened(maps)
            self._again_s[maps] = time.monotonic() + _OPEN_AGAIN_S
        return session

    def _opened(self, maps: bool) -> Session | FoveaError:
        try:
            return self._source.open_maps() if maps else self._source.open_session()
        except FoveaError as error:
            log.error("a session could not be opened: %s", error)
            return error
        except Exception:
            log.exception("a session could not be opened")
            return NotReady("the session could not be opened")

    def _run(self, run: _Run) -> None:
        session, batch = run.session, run.batch
        inputs, rows, arrived_s = zip(*map(_FACTS, batch), strict=True)
        begun_s = time.monotonic()
        session.gather(inputs)
        gathered_s = time.monotonic()
        self._in_progress = run
        try:
            session.run()
        finally:
            with self._lock:  # after this nobody terminates the session's next run for this one's sake
                self._in_progress = None
        ran_s = time.monotonic()
        outputs = session.split(rows)
        outcomes = [self._answer(request, own) for request, own in zip(batch, outputs, strict=True)]
        stages = Stages(begun_s, gathered_s, ran_s, time.monotonic())
        key = batch[0].batch_key
        warmed = self._measured.warmed(key, sum(rows))
        ran = RanBatch(rows, arrived_s, outcomes, stages, session.attention_s, session.padding_ratio, warmed)
        tell(self._observer.batch, ran, () if key.maps else inputs)
        traced = [(one.trace, outcome) for one, outcome in zip(batch, outcomes, strict=True) if one.trace is not None]
        if traced:
            tell(traced[0][0].ran, ran, traced)

    def _left_behind(self, batch: list[QueuedRequest]) -> None:
        """The run was ended since every caller had left."""
        now_s = time.monotonic()
        for request in batch:
            self._fail(request, why_gone(request, now_s))

    def _answer(self, request: QueuedRequest, outputs: Arrays) -> Outcome:
        if request.reply.gone:
            error = why_gone(request, time.monotonic())
            request.reply.send(error)
            return outcome_of(error)
        try:
            request.reply.send(outputs)
        except FoveaError as error:
            request.reply.send(error)
            return outcome_of(error)
        except Exception:
            log.exception("an answer could not be sent")
            request.reply.send(ExecutionFailed("the answer could not be made"))
            return "failed"
        too_late = request.deadline_s is not None and request.deadline_s <= time.monotonic()
        return "deadline" if too_late else "ok"

    def _retry(self, batch: list[QueuedRequest], error: Exception) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                if still_wanted := self._still_wanted(half):
                    self.execute(still_wanted)
            return
        if not isinstance(error, FoveaError):
            log.error("a batch failed", exc_info=error)
            error = ExecutionFailed("the model failed on this request")
        self._fail(batch[0], error)

    def _still_wanted(self, batch: list[QueuedRequest]) -> list[QueuedRequest]:
        """Those whose callers wait on; the others are told, or gone."""
        now_s = time.monotonic()
        left = [request for request in batch if request.reply.gone or (request.deadline_s or inf) <= now_s]
        for request in left:
            self._fail(request, why_gone(request, now_s))
        return [request for request in batch if request not in left]

    def _fail(self, request: QueuedRequest, error: FoveaError) -> None:
        fail(request, error, self._observer)
