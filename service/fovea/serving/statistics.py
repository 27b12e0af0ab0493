"""One version's running totals, for ModelStatistics. Durations in nanoseconds, as the protocol has them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from fovea.serving.worker import BatchRecord, Outcome


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

    def add(self, record: BatchRecord, count: int = 1) -> None:
        """One batch, felt by `count` requests."""
        self.compute_input.add(record.gather_s * count, count)
        self.compute_infer.add(record.run_s * count, count)
        self.compute_output.add(record.split_s * count, count)


@dataclass
class VersionTotals:
    """Everything ModelStatistics tells of a version."""

    inference_count: int = 0
    execution_count: int = 0
    last_inference_ms: int = 0
    success: Total = field(default_factory=Total)
    fail: Total = field(default_factory=Total)
    queue: Total = field(default_factory=Total)
    compute: BatchTotals = field(default_factory=BatchTotals)
    by_rows: dict[int, BatchTotals] = field(default_factory=dict)


class Statistics:
    """Owner of one version's totals; written by its workers and by the door, read by ModelStatistics."""

    def __init__(self) -> None:
        self._totals = VersionTotals()
        self._lock = threading.Lock()

    def batch(self, record: BatchRecord, queue_s: Sequence[float]) -> None:
        """A batch ran."""
        with self._lock:
            totals = self._totals
            totals.inference_count += record.rows
            totals.execution_count += 1
            totals.last_inference_ms = time.time_ns() // 1_000_000
            totals.queue.add(sum(queue_s), len(queue_s))
            totals.compute.add(record, record.requests)
            totals.by_rows.setdefault(record.rows, BatchTotals()).add(record)

    def requests(self, outcome: Outcome, duration_s: Sequence[float]) -> None:
        """Requests ended."""
        with self._lock:
            total = self._totals.success if outcome == "ok" else self._totals.fail
            total.add(sum(duration_s), len(duration_s))

    def read(self) -> VersionTotals:
        """A copy of the totals, all of one moment."""
        with self._lock:
            return deepcopy(self._totals)
