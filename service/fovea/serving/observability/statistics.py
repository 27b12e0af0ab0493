"""One version's running totals, for ModelStatistics. Durations in nanoseconds, as the protocol has them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from operator import mul

from fovea.serving.engines.outcomes import Outcome
from fovea.serving.engines.ran_batch import RanBatch, stage_seconds


@dataclass
class Total:
    """How often, and how long in all."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float, count: int = 1) -> None:
        """`count` events that took `seconds` together."""
        self.count += count
        self.ns += int(seconds * 1e9)


@dataclass
class BatchTotals:
    """Totals of the batches of one size."""

    compute_input: Total = field(default_factory=Total)
    compute_infer: Total = field(default_factory=Total)
    compute_output: Total = field(default_factory=Total)

    def add(self, ran: Sequence[RanBatch], counts: Sequence[int]) -> None:
        """Add batches, each of which so many requests felt."""
        count = sum(counts)
        totals = (self.compute_input, self.compute_infer, self.compute_output)
        for total, seconds in zip(totals, stage_seconds(ran), strict=True):
            total.add(sum(map(mul, seconds, counts)), count)


@dataclass
class VersionTotals:
    """Everything ModelStatistics tells of a version."""

    inference_count: int = 0
    execution_count: int = 0
    last_inference_ms: int = 0
    success: Total = field(default_factory=Total)
    fail: Total = field(default_factory=Total)
    failures: dict[Outcome, int] = field(default_factory=dict)
    """How often requests failed, by how; never by their callers' mistakes."""
    queue: Total = field(default_factory=Total)
    cache_hit: Total = field(default_factory=Total)
    """Finding answers that were cached."""
    cache_miss: Total = field(default_factory=Total)
    """Looking for answers that were not, and keeping them once they were there."""
    compute: BatchTotals = field(default_factory=BatchTotals)
    by_rows: dict[int, BatchTotals] = field(default_factory=dict)


class Statistics:
    """Owner of one version's totals; written by its ledger and its cache, read by ModelStatistics."""

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        """`settle` brings what is still to be added; it is called before every `read`."""
        self._settle = settle
        self._totals = VersionTotals()
        self._lock = threading.Lock()

    def batches(self, ran: Sequence[RanBatch]) -> None:
        """Count batches that ran."""
        by_rows: dict[int, list[RanBatch]] = {}
        for one in ran:
            by_rows.setdefault(sum(one.rows), []).append(one)
        queued_s = [one.stages.begun_s - arrived_s for one in ran for arrived_s in one.arrived_s]
        last_s = time.time() - time.monotonic() + ran[-1].stages.ended_s
        with self._lock:
            totals = self._totals
            totals.inference_count += sum([rows * len(alike) for rows, alike in by_rows.items()])
            totals.execution_count += len(ran)
            totals.last_inference_ms = max(totals.last_inference_ms, int(last_s * 1e3))
            totals.queue.add(sum(queued_s), len(queued_s))
            totals.compute.add(ran, [len(one.rows) for one in ran])
            for rows, alike in by_rows.items():
                totals.by_rows.setdefault(rows, BatchTotals()).add(alike, [1] * len(alike))

    def requests(self, outcome: Outcome, duration_s: Sequence[float], _rows: int) -> None:
        """Requests ended. Those that did not fit the model are none of its inferences: Triton counts no such either."""
        if outcome == "invalid":
            return
        with self._lock:
            totals = self._totals
            total = totals.success if outcome == "ok" else totals.fail
            total.add(sum(duration_s), len(duration_s))
            if outcome != "ok":
                totals.failures[outcome] = totals.failures.get(outcome, 0) + len(duration_s)

    def cache_hit(self, seconds: float) -> None:
        """An answer came from the cache: its request waited in no queue and was in no batch."""
        with self._lock:
            self._totals.cache_hit.add(seconds)
            self._totals.queue.add(0.0)
            self._totals.last_inference_ms = time.time_ns() // 1_000_000

    def cache_miss(self, seconds: float) -> None:
        """One did not, and is there now."""
        with self._lock:
            self._totals.cache_miss.add(seconds)

    def read(self) -> VersionTotals:
        """A copy of the totals, all of one moment."""
        self._settle()
        with self._lock:
            return deepcopy(self._totals)
