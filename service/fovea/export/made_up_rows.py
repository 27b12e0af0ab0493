"""Rows for a module of which only the shapes are known: made up within what the module is seen to take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExportFailed
from fovea.contract.sequence import SequenceSpec
from fovea.export.input_specs import LENGTH, InputSpec
from fovea.export.length_range import ANY_LENGTH, LengthRange, length_range
from fovea.runtime.arrays import Arrays

Answer = Callable[[Arrays], Sequence[NDArray[Any]]]
"""What the module gives for some rows; ExportFailed where it fails on them."""
_LONGEST = 64
"""Of the lengths that are made up, where the module takes such short ones: longer ones cost time and tell no more."""
_VOCABULARIES = (1000, 100, 10)
"""Tried for whole numbers, until one is taken."""
_LEAST_VOCABULARY = 2
"""0 and 1, which every embedding has."""


@dataclass(frozen=True)
class MadeUpRows:
    """Seeded rows: floats are normal; whole numbers come from below `vocabulary`, small ones as often as large ones.

    Each number of rows has its own length, and a mask that closes each row a little earlier than the one before.
    """

    specs: Sequence[InputSpec]
    sequence: SequenceSpec | None = None
    lengths: LengthRange = ANY_LENGTH
    vocabulary: Mapping[str, int] = field(default_factory=dict)

    def __call__(self, rows: int) -> Arrays:
        """`rows` rows, always the same ones."""
        shortest = self.lengths.shortest
        longest = max(shortest, min(self.lengths.longest or _LONGEST, _LONGEST))
        return self.of_length(rows, shortest + 7 * rows % (longest - shortest + 1))

    def of_length(self, rows: int, length: int) -> Arrays:
        """`rows` rows, whose sequences are `length` long."""
        generator = np.random.default_rng(rows)
        made = {spec.name: self._input(spec, rows, length, generator) for spec in self.specs}
        mask = self.sequence.mask if self.sequence is not None else None
        if mask is not None:
            open_until = length - np.arange(rows) % length
            made[mask] = (np.arange(length) < open_until[:, None]).astype(made[mask].dtype)
        return made

    def _input(self, spec: InputSpec, rows: int, length: int, generator: np.random.Generator) -> NDArray[Any]:
        shape = (rows, *(length if size == LENGTH else size for size in spec.row_shape))
        if spec.dtype == "float32":
            return generator.standard_normal(shape, dtype=np.float32)
        size = self.vocabulary.get(spec.name, _LEAST_VOCABULARY)
        whole: NDArray[Any] = np.floor((size + 1) ** generator.random(shape)) - 1
        return whole.astype(spec.dtype)


def fitted(specs: Sequence[InputSpec], sequence: SequenceSpec | None, answer: Answer) -> MadeUpRows:
    """Rows of the lengths and whole numbers that the module takes. ExportFailed where it takes none at all.

    The sequence of the result has the buckets that the module can run, and the longest length where there is one.
    """
    made = MadeUpRows(specs, sequence)
    if sequence is not None:
        found = length_range(lambda length: _takes(answer, made.of_length(2, length)), sequence.buckets)
        made = replace(made, sequence=within(sequence, found), lengths=found)
    answer(made(2))  # whatever is wrong is told in the module's own words
    for spec in specs:
        if spec.dtype not in ("float32", "bool") and spec.name != (sequence and sequence.mask):
            made = _with_vocabulary(made, spec, answer)
    return made


def within(sequence: SequenceSpec, lengths: LengthRange) -> SequenceSpec:
    """The sequence with the limits that were found; ExportFailed where its owner's buckets are beyond them."""
    kept = lengths.buckets(sequence.buckets)
    if "buckets" in sequence.model_fields_set and (beyond := sorted(set(sequence.buckets) - set(kept))):
        raise ExportFailed(f"bucket {beyond[0]}: the module takes sequences of {lengths}")
    return sequence.model_copy(update={"buckets": kept, "longest": lengths.longest})


def _with_vocabulary(made: MadeUpRows, spec: InputSpec, answer: Answer) -> MadeUpRows:
    """With the largest vocabulary for this input that gives an answer in numbers."""
    for size in _VOCABULARIES:
        wider = replace(made, vocabulary={**made.vocabulary, spec.name: min(size, np.iinfo(spec.dtype).max)})
        if _takes(answer, wider(2)):
            return wider
    return made


def _takes(answer: Answer, rows: Arrays) -> bool:
    """Whether the module answers these rows, and in numbers: a mask of 7 s makes many a module overflow."""
    try:
        return all(np.isfinite(array).all() for array in answer(rows))
    except ExportFailed:
        return False
