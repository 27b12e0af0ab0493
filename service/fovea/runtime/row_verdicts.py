"""What the answers to a row tell, alone and beside others: whether the rows of a batch are kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fovea.runtime.arrays import Arrays
from fovea.runtime.row_agreement import difference, tolerance_alone, tolerance_among_others


@dataclass(frozen=True)
class RowVerdict:
    """What was seen of a model's rows, and the evidence."""

    seen: Literal["apart", "mixed", "unknown", "impossible", "untried"]
    """impossible: it cannot be run with several rows, or does not answer with as many. untried: nothing was run."""
    reason: str = ""

    @property
    def apart(self) -> bool:
        """Whether requests may share its batches."""
        return self.seen == "apart"


def other_again(answer: Arrays, again: Arrays) -> str:
    """How the same row is answered otherwise when it is run again, in words; nothing where it is not."""
    for name, array in answer.items():
        same = array.shape == again[name].shape
        if not same or difference(array, again[name], tolerance_among_others([array])):
            return f"{name} differs when the same row is run again, so nothing can be told of its rows"
    return ""


def unfit_alone(alone: Sequence[Arrays]) -> RowVerdict | None:
    """Answers that are no rows, or whose size depends on what is in a row."""
    for name, array in alone[0].items():
        if array.shape[:1] != (1,):
            return RowVerdict("impossible", f"{name} of one row has shape {list(array.shape)}: it is no row of answers")
        for other in alone[1:]:
            if other[name].shape != array.shape:
                shapes = f"{list(array.shape)} and {list(other[name].shape)} for inputs of one shape"
                return RowVerdict("mixed", f"the size of {name} depends on what is in a row: {shapes}")
    return None


def beside_alone(alone: Sequence[Arrays], together: Arrays, count: int, *, large: bool) -> RowVerdict | None:
    """Rows alone, and `count` rows together, of which they are the first; of `large` rows more may be rounded."""
    for name, array in together.items():
        expected = (count, *alone[0][name].shape[1:])
        if array.shape[:1] != expected[:1]:
            shapes = f"shape {list(array.shape)}, not {list(expected)}"
            return RowVerdict("impossible", f"{name} of {count} rows has {shapes}")
        if array.shape != expected:
            return _resized(name, alone[0][name], array, "together")
        rows = np.concatenate([one[name] for one in alone])
        if off := difference(rows, array[: len(rows)], tolerance_alone([rows, array], large=large)):
            return RowVerdict("mixed", f"rows influence each other: {name} of a row {off} between alone and together")
    return None


def changed_by_neighbours(before: Arrays, after: Arrays, kept: slice) -> RowVerdict | None:
    """Batches of one size, of which the rows `kept` are the same ones and the others are not."""
    for name, array in after.items():
        if array.shape != before[name].shape:
            return _resized(name, before[name], array, "with other neighbours")
        allowed = tolerance_among_others([before[name], array])
        if off := difference(before[name][kept], array[kept], allowed):
            return RowVerdict("mixed", f"rows influence each other: {name} of a row {off} with its neighbours")
    return None


def _resized(name: str, one: NDArray[Any], other: NDArray[Any], when: str) -> RowVerdict:
    shapes = f"{list(one.shape)}, {when} {list(other.shape)}"
    return RowVerdict("mixed", f"the size of {name} depends on its neighbours in the batch: {shapes}")
