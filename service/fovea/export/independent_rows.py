"""Whether a module answers each row of a batch as if it were alone, and the same each time: in PyTorch, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExportFailed
from fovea.export.reference import Reference
from fovea.runtime.arrays import Arrays

_TRIALS = ((3, 1.0, 1e-7), (2, 100.0, 1e-4))
"""Rows in a batch; what their floats are multiplied by, since some rows meet only where a value passes a threshold;
and how far an answer may be off, of its largest value: above what another order of float64 additions makes, far below
what a neighbour does. Of rows a hundred times too large, a ResNet-50's last gate was off by 3e-6.
"""


def require_independent_rows(reference: Reference, rows: Callable[[int], Arrays]) -> None:
    """ExportFailed where a row's answer depends on its neighbours, or on nothing that was sent. `rows` as in Subject.

    Requests of strangers share a batch, so this would send one what belongs to another.
    """
    for count, scale, tolerance in _TRIALS:
        batch = {name: _scaled(array, scale) for name, array in rows(count).items()}
        together = reference.answer(batch).arrays
        for row in range(count):
            alone = reference.answer({name: array[row : row + 1] for name, array in batch.items()}).arrays
            if not _same(alone, [np.atleast_1d(array)[row : row + 1] for array in together], tolerance):
                again = _same(together, reference.answer(batch).arrays, tolerance)
                raise ExportFailed(_why(row, same_again=again))


def _scaled(array: NDArray[Any], factor: float) -> NDArray[Any]:
    return array * array.dtype.type(factor) if array.dtype.kind == "f" else array


def _why(row: int, *, same_again: bool) -> str:
    """A row was answered otherwise in a batch than alone; `same_again`: the batch is answered alike each time."""
    if not same_again:
        return "the module answers the same rows otherwise each time: is dropout on, or does it draw random numbers?"
    return (
        f"row {row} of a batch is answered otherwise than alone: axis 0 is not a batch of independent rows. "
        "PyTorch's attention and recurrent modules have the batch there with batch_first=True; "
        "a softmax, a norm or a product over axis 0 mixes rows too"
    )


def _same(left: Sequence[NDArray[Any]], right: Sequence[NDArray[Any]], tolerance: float) -> bool:
    pairs = zip(left, right, strict=False)
    return len(left) == len(right) and all(_agree(one, other, tolerance) for one, other in pairs)


def _agree(left: NDArray[Any], right: NDArray[Any], tolerance: float) -> bool:
    if left.shape != right.shape or left.dtype.kind not in "fc":
        return np.array_equal(left, right)
    largest = float(np.max(np.abs(left), initial=0.0, where=np.isfinite(left)))
    return np.allclose(left, right, rtol=0.0, atol=tolerance * largest, equal_nan=True)
