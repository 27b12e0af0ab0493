"""Whether a model treats the rows of a batch apart, seen from outside: two rows together and each alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed
from fovea.runtime.datatypes import Arrays
from fovea.runtime.sample_rows import random_row
from fovea.runtime.session import ModelSession

_LENGTHS = (1, 8, 32)
"""Tried for axes of unknown size, until one runs."""
_TOLERANCE = {2: 1e-2, 4: 1e-4, 8: 1e-9}
"""Bytes of a float -> difference, relative to the largest value, that another order of additions may make."""


def keeps_rows_apart(session: ModelSession, seed: int = 0) -> bool:
    """Whether two different random rows answer together as they do alone. `session` takes arrays as they are."""
    for length in _LENGTHS:
        rng = np.random.default_rng(seed)
        rows = [random_row(session.inputs, length, rng) for _ in range(2)]
        try:
            together = session.infer({name: np.concatenate([row[name] for row in rows]) for name in rows[0]})
            together = {name: array.copy() for name, array in together.items()}
            return all(_is_part(session.infer(row), together, place) for place, row in enumerate(rows))
        except ExecutionFailed:
            continue
    return False


def _is_part(alone: Arrays, together: Arrays, place: int) -> bool:
    shapes_fit = all(array.shape[:1] == (1,) and together[name].shape[:1] == (2,) for name, array in alone.items())
    return shapes_fit and all(agree(array[0], together[name][place]) for name, array in alone.items())


def agree(alone: NDArray[Any], together: NDArray[Any]) -> bool:
    """Whether two answers are the same, but for the order of additions."""
    alone, together = np.asarray(alone), np.asarray(together)
    if alone.shape != together.shape:
        return False
    if alone.dtype.kind != "f":
        return bool(np.array_equal(alone, together))
    largest = float(np.max(np.abs(alone), initial=0.0, where=np.isfinite(alone)))
    tolerance = _TOLERANCE[alone.dtype.itemsize] * largest
    return bool(np.allclose(together, alone, rtol=0.0, atol=tolerance, equal_nan=True))
