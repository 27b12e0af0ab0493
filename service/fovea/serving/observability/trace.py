"""Traces of single requests: when each was where, for the writers that the server was started with.

Which requests, the operator says while the server runs (TraceSetting), for all models or for one; and a caller, whose
own trace goes on here where spans are written. Where nothing is traced a request costs one look at a flag; nothing here
can fail one, nor hold it up.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fovea.contract.errors import FoveaError
from fovea.serving.engines.outcomes import Outcome, outcome_of
from fovea.serving.engines.ran_batch import RanBatch
from fovea.serving.observability.trace_origin import TraceOrigin

Stamp = tuple[str, float]
"""What happened, and when."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is to hear of a request."""

    part: int | None = None
    """The file of traces, or its part where there are several; None: it goes into none."""
    spans: bool = False


@dataclass(frozen=True, slots=True)
class TracedRequest:
    """A request that has ended."""

    wanted: Wanted
    facts: dict[str, Any]
    origin: TraceOrigin | None
    stamps: Sequence[Stamp]
    outcome: Outcome
    error: FoveaError | None

    def status(self) -> Mapping[str, str | int]:
        """The code that its caller got, as attributes of a span; none where it is not known."""
        known = self.origin is not None and (self.error is not None or self.outcome == "ok")
        return self.origin.status(self.error) if known and self.origin is not None else {}


class TraceWriter(Protocol):
    """Who hears of traced requests. Nothing here blocks or raises; any thread may call it."""

    def write(self, requests: Sequence[TracedRequest], batch: RanBatch | None) -> None:
        """These requests have ended, those of one batch together; `batch` is None where none ran for them."""

    def close(self) -> None:
        """Write what waits; where that hangs, leave it after a while."""


class Trace:
    """One request on its way. Times are seconds of the monotonic clock."""

    __slots__ = ("_facts", "_origin", "_stamps", "_wanted", "_writers")

    def __init__(
        self,
        writers: Sequence[TraceWriter],
        wanted: Wanted,
        facts: dict[str, Any],
        origin: TraceOrigin | None,
        arrived_s: float,
    ) -> None:
        self._writers, self._wanted, self._facts, self._origin = writers, wanted, facts, origin
        self._stamps: list[Stamp] = [("REQUEST_START", arrived_s), ("QUEUE_START", time.monotonic())]

    def ran(self, batch: RanBatch, members: Sequence[tuple[Any, Outcome]]) -> None:
        """A batch has run, whose traced requests are `members`, this one among them; they are answered."""
        begun_s, gathered_s, ran_s, ended_s = batch.stages
        computed = (("COMPUTE_START", begun_s), ("COMPUTE_INPUT_END", gathered_s), ("COMPUTE_OUTPUT_START", ran_s))
        stamps = (*computed, ("COMPUTE_END", ended_s))
        self._write([one._ended(stamps, ended_s, outcome) for one, outcome in members], batch)

    def end(self, end_s: float, error: FoveaError | None = None) -> None:
        """It has got an error, or an answer without a run."""
        self._write([self._ended((), end_s, "ok" if error is None else outcome_of(error), error)])

    def _ended(
        self, stamps: Sequence[Stamp], end_s: float, outcome: Outcome, error: FoveaError | None = None
    ) -> TracedRequest:
        all_stamps = (*self._stamps, *stamps, ("REQUEST_END", end_s))
        return TracedRequest(self._wanted, self._facts, self._origin, all_stamps, outcome, error)

    def _write(self, requests: Sequence[TracedRequest], batch: RanBatch | None = None) -> None:
        for writer in self._writers:
            writer.write(requests, batch)
