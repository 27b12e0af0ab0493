"""What a batch costs on this device, as measured, and what follows: how large to make one, how long to wait for it.

Pure functions of a few measured points: nothing runs here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import prod
from operator import ge
from statistics import median
from typing import Any

from fovea.contract.lengths import Lengths

Curve = Mapping[int, float]
"""Rows -> seconds of one batch; never empty."""

BATCH_OVERHEAD_S = 20e-6
"""What a batch costs the server beside gather, run and split: being taken, timed and recorded. It counts where a model
takes a tenth of a millisecond, and nowhere else."""


@dataclass(frozen=True)
class BatchCost:
    """Seconds by lengths and rows. Of several lengths, those that were measured make a grid; a model that has none has
    one curve, of no lengths.
    """

    curves: Mapping[Lengths, Curve] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    """The lengths' names, in the order of `curves`' keys."""

    def seconds(self, lengths: Lengths, rows: int) -> float | None:
        """What a batch of `rows`, padded to these lengths, takes at most; None beyond what was measured.

        Between measured lengths it takes what the next larger ones do. Between measured rows it is interpolated;
        beyond the most, each row costs what it cost there.
        """
        nearest = self._nearest(lengths)
        curve = self.curves.get(nearest) if all(map(ge, nearest, lengths)) else None
        return _interpolated(curve, rows) if curve else None

    def warmed(self, lengths: Lengths, rows: int) -> bool:
        """Whether batches of these lengths, and at least so large, were run."""
        return rows <= max(self.curves.get(lengths, ()), default=0)

    def points(self) -> Iterator[tuple[Lengths, int, float]]:
        """Lengths, rows and seconds of every batch that was measured, in order."""
        return ((lengths, rows, seconds) for lengths, curve in self.curves.items() for rows, seconds in curve.items())

    @classmethod
    def of_points(cls, points: Iterable[tuple[Iterable[int], int, float]], names: Iterable[str]) -> BatchCost:
        curves: dict[Lengths, dict[int, float]] = {}
        for lengths, rows, seconds in points:
            curves.setdefault(tuple(lengths), {})[rows] = seconds
        return cls(curves, tuple(names))

    def points_in_words(self) -> Iterator[tuple[str, int, float]]:
        """The same with lengths in words."""
        return ((self.words(lengths), rows, seconds) for lengths, rows, seconds in self.points())

    def words(self, lengths: Lengths) -> str:
        """Lengths for people: the number of the only one, several with their names."""
        if len(lengths) < 2:
            return "".join(map(str, lengths))
        return ",".join(f"{name}={size}" for name, size in zip(self.names, lengths, strict=True))

    def facts(self) -> list[dict[str, Any]]:
        """The same for people and programs: per lengths, seconds by rows, and the largest batch worth making."""
        return [
            self._named(lengths)
            | {"worthwhile_rows": self.worthwhile_rows(lengths)}
            | {"seconds": {str(rows): float(f"{seconds:.3g}") for rows, seconds in curve.items()}}
            for lengths, curve in self.curves.items()
        ]

    def _named(self, lengths: Lengths) -> dict[str, Any]:
        if len(lengths) > 1:
            return {"lengths": dict(zip(self.names, lengths, strict=True))}
        return {"length": lengths[0]} if lengths else {}

    def worthwhile_rows(self, lengths: Lengths) -> int | None:
        """The largest batch worth making of these lengths, as of the next larger ones that were measured, or of the
        largest; None where none was.
        """
        nearest = self._nearest(lengths)
        curve = self.curves.get(nearest)
        return worthwhile_batch_rows(curve, self._single_s(nearest)) if curve else None

    @cached_property
    def usual_batch_s(self) -> float | None:
        """What the largest batch worth making takes, of lengths in the middle; None where nothing was measured."""
        seconds = [self.curves[lengths][self.worthwhile_rows(lengths) or 1] for lengths in self.curves]
        return median(seconds) if seconds else None

    def worthwhile_delay_s(self) -> float:
        """How long it can pay to let a row wait for a second one: what two together take less than one by one.

        Of the lengths that gain most; 0 where none does.
        """
        return max(map(self._saved_by_two_s, self.curves), default=0.0)

    def _saved_by_two_s(self, lengths: Lengths) -> float:
        saved_s = 2 * self._single_s(lengths) - _interpolated(self.curves[lengths], 2)
        return max(0.0, saved_s) if (self.worthwhile_rows(lengths) or 1) > 1 else 0.0

    def _nearest(self, lengths: Lengths) -> Lengths:
        """Each measured, the next larger one or the largest; they may not have been measured together."""
        axes = [sorted(set(sizes)) for sizes in zip(*self.curves, strict=True)]
        return tuple(
            axis[min(bisect_left(axis, size), len(axis) - 1)] for axis, size in zip(axes, lengths, strict=False)
        )

    def _single_s(self, lengths: Lengths) -> float:
        """What one row takes alone: of its bucket in each length, where it needs no padding, one of middling size."""
        full_s = _smallest(self.curves[lengths])
        shares = (self._middling_s(lengths, place) / full_s for place in range(len(lengths)))
        return full_s * prod(shares) if full_s else 0.0

    def _middling_s(self, lengths: Lengths, place: int) -> float:
        """What one row takes alone where one of its lengths is of middling size."""
        singles = sorted(
            (known[place], _smallest(curve))
            for known, curve in self.curves.items()
            if known[:place] == lengths[:place] and known[place + 1 :] == lengths[place + 1 :]
        )
        shorter = max((known for known, _ in singles if known < lengths[place]), default=0)
        return _middling(singles, (shorter + lengths[place]) / 2)


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
