"""What PyTorch answers to the batches by which an export is judged, in float64 and in float32: worked out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.export.reference import Reference
from fovea.recipes.subject import Subject
from fovea.runtime.arrays import Arrays

BATCH_ROWS = (1, 2, 7, 32)
_DIFFERENT_ROWS = 7
"""A larger batch repeats them: rows do not influence each other, so each is worked out once. No size of a vector or a
block is a multiple of 7, so what a kernel mixes up by these is not hidden by equal rows."""


@dataclass(frozen=True)
class Expected:
    """A batch, and the right answers to its first rows, which the others repeat: the outputs, then the maps."""

    inputs: Arrays
    exact: Sequence[NDArray[Any]]
    """In float64."""
    single: Sequence[NDArray[Any]]
    """As the module computes in float32 by itself: the measure of what float32 can give."""

    @classmethod
    def of(cls, reference: Reference, inputs: Arrays) -> Expected:
        return cls(inputs, reference.answer(inputs).arrays, reference.answer_float32(inputs).arrays)

    @property
    def rows(self) -> int:
        """Rows of the whole batch."""
        return len(next(iter(self.inputs.values())))

    def resized(self, rows: int) -> Expected:
        """A batch of so many: the first ones, or all of them repeated."""
        inputs = {name: array[np.arange(rows) % self.rows] for name, array in self.inputs.items()}
        exact, single = ([array[:rows] for array in arrays] for arrays in (self.exact, self.single))
        return Expected(inputs, exact, single)


def expected_batches(subject: Subject, reference: Reference, golden_rows: int) -> tuple[list[Expected], Expected]:
    """A batch of each size, and the golden one. Those of a model with lengths have lengths of their own."""
    sizes = (*BATCH_ROWS, golden_rows)
    if not subject.lengths:
        whole = Expected.of(reference, subject.rows(_DIFFERENT_ROWS))
        *batches, golden = [whole.resized(rows) for rows in sizes]
        return batches, golden
    *batches, golden = [_of_own_length(subject, reference, rows) for rows in sizes]
    return batches, golden


def _of_own_length(subject: Subject, reference: Reference, rows: int) -> Expected:
    different = {name: array[:_DIFFERENT_ROWS] for name, array in subject.rows(rows).items()}
    return Expected.of(reference, different).resized(rows)
