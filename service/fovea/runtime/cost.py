"""What a batch costs on this device, as measured, and what follows: how large to make one, how long to wait for it.

Pure functions of a few measured points: nothing runs here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Curve = Mapping[int, float]
"""Rows -> seconds of one batch; never empty."""

BATCH_OVERHEAD_S = 20e-6
"""What a batch costs the server beside gather, run and split: being taken, timed and recorded. It counts where a model
takes a tenth of a millisecond, and nowhere else."""


@dataclass(frozen=True)
class BatchCost:
    """Seconds by length and rows. A model that takes no sequences has one curve, of length None."""

    curves: Mapping[int | None, Curve] = field(default_factory=dict)

    def seconds(self, length: int | None, rows: int) -> float | None:
        """What a batch of `rows`, padded to `length`, takes; None where nothing of that length was measured.

        Between measured sizes it is interpolated; beyond the largest, each row costs what it cost there.
        """
        curve = self.curves.get(length)
        return _interpolated(curve, rows) if curve else None

    def warmed(self, length: int | None, rows: int) -> bool:
        """Whether batches of this length, and at least so large, were run."""
        return rows <= max(self.curves.get(length, ()), default=0)

    def points(self) -> Iterator[tuple[int | None, int, float]]:
        """Length, rows and seconds of every batch that was measured, in order."""
        return ((length, rows, seconds) for length, curve in self.curves.items() for rows, seconds in curve.items())

    @classmethod
    def of_points(cls, points: Iterable[tuple[int | None, int, float]]) -> BatchCost:
        """From what `points` gave."""
        curves: dict[int | None, dict[int, float]] = {}
        for length, rows, seconds in points:
            curves.setdefault(length, {})[rows] = seconds
        return cls(curves)

    def facts(self) -> list[dict[str, Any]]:
        """The same for people and programs: per length, seconds by rows, and the largest batch worth making."""
        return [
            ({} if length is None else {"length": length})
            | {"worthwhile_rows": self.worthwhile_rows(length)}
            | {"seconds": {str(rows): float(f"{seconds:.3g}") for rows, seconds in curve.items()}}
            for length, curve in self.curves.items()
        ]

    def worthwhile_rows(self, length: int | None) -> int:
        """The largest batch worth making of a length that was measured."""
        return worthwhile_batch_rows(self.curves[length], self._single_s(length))

    def worthwhile_delay_s(self) -> float:
        """How long it can pay to let a row wait for a second one: what two together take less than one by one.

        Of the length that gains most; 0 where none does.
        """
        return max(map(self._saved_by_two_s, self.curves), default=0.0)

    def _saved_by_two_s(self, length: int | None) -> float:
        saved_s = 2 * self._single_s(length) - _interpolated(self.curves[length], 2)
        return max(0.0, saved_s) if self.worthwhile_rows(length) > 1 else 0.0

    def _single_s(self, length: int | None) -> float:
        """What one row takes alone: of a bucket's sequences, which need no padding then, one of middling length."""
        if length is None:
            return _smallest(self.curves[None])
        singles = sorted((known, _smallest(curve)) for known, curve in self.curves.items() if known is not None)
        shorter = max((known for known, _ in singles if known < length), default=0)
        return _middling(singles, (shorter + length) / 2)


def worthwhile_batch_rows(curve: Curve, single_s: float, tolerance: float = 0.03) -> int:
    """The largest batch whose cost per row is within `tolerance` of the best, and no more than `single_s`.

    Larger batches spare overhead as long as they cost no more per row; at least the smallest one is made.
    """
    per_row_s = {rows: (seconds + BATCH_OVERHEAD_S) / rows for rows, seconds in curve.items()}
    limit_s = min(min(per_row_s.values()) * (1 + tolerance), single_s + BATCH_OVERHEAD_S)
    return max((rows for rows, seconds in per_row_s.items() if seconds <= limit_s), default=min(curve))


def _smallest(curve: Curve) -> float:
    return curve[min(curve)]


def _middling(singles: Sequence[tuple[int, float]], length: float) -> float:
    """Seconds at `length`: on the line between its neighbours, or through the first two where it is below them.

    At least the share of the upper neighbour's time that it has of its length, at most all of it.
    """
    upper = next(place for place, (known, _) in enumerate(singles) if known >= length)
    lower, other = (upper - 1, upper) if upper else (0, min(1, len(singles) - 1))
    (low, low_s), (high, high_s) = singles[lower], singles[other]
    on_line_s = low_s + (high_s - low_s) * (length - low) / (high - low) if high > low else 0.0
    known, known_s = singles[upper]
    return min(known_s, max(on_line_s, known_s * length / known))


def _interpolated(curve: Curve, rows: int) -> float:
    points = sorted(curve.items())
    for (fewer, less_s), (more, more_s) in pairwise(points):
        if rows <= more:
            return less_s + (more_s - less_s) * (rows - fewer) / (more - fewer)
    last_rows, last_s = points[-1]
    return last_s * rows / last_rows
