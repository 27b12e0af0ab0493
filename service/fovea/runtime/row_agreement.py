"""When two answers are the same: for each number by what its place holds in other rows, not by the largest of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.runtime.arrays import Arrays

_AMONG_OTHERS = {2: 5e-3, 4: 1e-5, 8: 1e-12}
_ALONE = {2: 1e-2, 4: 1e-4, 8: 1e-9}
_LARGE = 1e-2
"""Bytes of a float -> relative difference that another order of additions may make, in the same loops or in others."""
_ROUNDINGS = 16
"""Of the largest value of an output: a number that is the small difference of large ones has their rounding."""
_FEW_WHOLE = 0.01
"""Share of whole numbers that may have been rounded the other way."""


@dataclass(frozen=True)
class Tolerance:
    """What two numbers of an answer may differ by, by place in a row; for whole numbers, how many may differ."""

    by_place: NDArray[Any]
    share: float = 0.0


def tolerance_among_others(answers: Sequence[NDArray[Any]]) -> Tolerance:
    """For a row in batches of one size: the same numbers are added in the same order."""
    if answers[0].dtype.kind != "f":
        return Tolerance(np.zeros(()))
    return Tolerance(_AMONG_OTHERS[answers[0].dtype.itemsize] * _scale(answers))


def tolerance_alone(answers: Sequence[NDArray[Any]], *, large: bool = False) -> Tolerance:
    """For a row in batches of different sizes."""
    dtype = answers[0].dtype
    if dtype.kind != "f":
        return Tolerance(np.zeros(()), _FEW_WHOLE)
    scale = _scale(answers)
    relative = max(_ALONE[dtype.itemsize], _LARGE if large else 0.0)
    floor = _ROUNDINGS * float(np.finfo(dtype).eps) * float(np.max(scale, initial=0.0))
    return Tolerance(relative * scale + floor)


def _scale(answers: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """For each place in a row, the largest value that any row has there."""
    sizes = np.concatenate([np.abs(answer.astype(np.float64)) for answer in answers])
    return np.asarray(np.max(np.where(np.isfinite(sizes), sizes, 0.0), axis=0, initial=0.0))


def difference(one: NDArray[Any], other: NDArray[Any], allowed: Tolerance) -> str:
    """In words, how answers of one shape differ by more than is allowed; nothing where they do not."""
    if one.dtype.kind != "f":
        count = int(np.count_nonzero(one != other))
        return f"differs in {count} of {one.size} numbers" if count > allowed.share * one.size else ""
    with np.errstate(invalid="ignore"):
        off = np.abs(one.astype(np.float64) - other.astype(np.float64))
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    wrong = ~same & ~(off <= allowed.by_place)
    if not wrong.any():
        return ""
    finite = off[wrong & np.isfinite(off)]
    return f"differs by {finite.max():.3g}" if finite.size else "is a number once and once is none"


def is_telling(answers: Sequence[Arrays]) -> bool:
    """Whether rows of different content got different answers, in numbers."""
    return any(_differ(array, other[name]) for other in answers[1:] for name, array in answers[0].items())


def _differ(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype.kind != "f":
        return bool(np.any(one != other))
    return bool(np.any((one != other) & np.isfinite(one) & np.isfinite(other)))
