"""Rows for a module of which only the shapes are known: made up within what the module is seen to take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExportFailed
from fovea.contract.lengths import LengthSpec, NamedLengths, masks_of
from fovea.export.input_specs import InputSpec
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

    Each number of rows has its own lengths, and masks that close each row a little earlier than the one before.
    """

    specs: Sequence[InputSpec]
    lengths: NamedLengths = field(default_factory=dict)
    ranges: Mapping[str, LengthRange] = field(default_factory=dict)
    vocabulary: Mapping[str, int] = field(default_factory=dict)

    def __call__(self, rows: int) -> Arrays:
        """`rows` rows, always the same ones."""
        ranges = [self.ranges.get(name, ANY_LENGTH) for name in self.lengths]
        sizes = [_within(found, 7 * rows + 5 * place) for place, found in enumerate(ranges)]
        return self.of_lengths(rows, dict(zip(self.lengths, sizes, strict=True)))

    def of_lengths(self, rows: int, sizes: Mapping[str, int]) -> Arrays:
        """`rows` rows, whose lengths have these sizes."""
        generator = np.random.default_rng(rows)
        made = {spec.name: self._input(spec, rows, sizes, generator) for spec in self.specs}
        for name, length in self.lengths.items():
            if length.mask is not None:
                open_until = sizes[name] - np.arange(rows) % sizes[name]
                made[length.mask] = (np.arange(sizes[name]) < open_until[:, None]).astype(made[length.mask].dtype)
        return made

    def _input(
        self, spec: InputSpec, rows: int, sizes: Mapping[str, int], generator: np.random.Generator
    ) -> NDArray[Any]:
        shape = (rows, *(sizes[size] if isinstance(size, str) else size for size in spec.row_shape))
        if spec.dtype == "float32":
            return generator.standard_normal(shape, dtype=np.float32)
        size = self.vocabulary.get(spec.name, _LEAST_VOCABULARY)
        whole: NDArray[Any] = np.floor((size + 1) ** generator.random(shape)) - 1
        return whole.astype(spec.dtype)


def _within(found: LengthRange, turn: int) -> int:
    """Another one for each turn, as long as there are others."""
    longest = max(found.shortest, min(found.longest or _LONGEST, _LONGEST))
    return found.shortest + turn % (longest - found.shortest + 1)


def fitted(specs: Sequence[InputSpec], lengths: NamedLengths, answer: Answer) -> MadeUpRows:
    """Rows of the lengths and whole numbers that the module takes. ExportFailed where it takes none at all.

    The lengths of the result have the buckets that the module can run, and the longest size where there is one.
    """
    made = _with_ranges(MadeUpRows(specs, lengths), answer) if lengths else MadeUpRows(specs)
    answer(made(2))  # whatever is wrong is told in the module's own words
    for spec in specs:
        if spec.dtype not in ("float32", "bool") and spec.name not in masks_of(lengths):
            made = _with_vocabulary(made, spec, answer)
    return made


def _with_ranges(made: MadeUpRows, answer: Answer) -> MadeUpRows:
    """With the sizes of each length that the module takes, while the others have some that it takes."""

    def takes(sizes: Mapping[str, int]) -> bool:
        return _takes(answer, made.of_lengths(2, sizes))

    known = _taken_together(made.lengths, takes)
    ranges = {
        name: length_range(lambda size, name=name: takes({**known, name: size}), length.buckets)  # type: ignore[misc]
        for name, length in made.lengths.items()
    }
    lengths = {name: _limited(name, length, ranges[name]) for name, length in made.lengths.items()}
    return replace(made, lengths=lengths, ranges=ranges)


def _taken_together(lengths: NamedLengths, takes: Callable[[Mapping[str, int]], bool]) -> Mapping[str, int]:
    """A bucket of each length that the module takes: the first of each, else the second of each, and so on."""
    turns = range(max(len(length.buckets) for length in lengths.values()))
    tried = [
        {name: length.buckets[min(turn, len(length.buckets) - 1)] for name, length in lengths.items()} for turn in turns
    ]
    return next(filter(takes, tried), tried[0])


def _limited(name: str, length: LengthSpec, found: LengthRange) -> LengthSpec:
    """The length with the limits that were found; ExportFailed where its owner's buckets are beyond them."""
    kept = found.buckets(length.buckets)
    if "buckets" in length.model_fields_set and (beyond := sorted(set(length.buckets) - set(kept))):
        raise ExportFailed(f"bucket {beyond[0]}: the module takes a length {name} of {found}")
    return length.model_copy(update={"buckets": kept, "longest": found.longest})


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
