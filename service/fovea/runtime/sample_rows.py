"""Rows to run a model with before anybody has sent one: the golden batch's, or made-up ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.lengths import Lengths, NamedLengths, input_axes, masks_of
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.raw_tensors import NUMPY_DTYPE
from fovea.runtime.arrays import Arrays
from fovea.runtime.golden import Golden

_MOST_COMBINATIONS = 64
"""Of the buckets of several lengths, to be run at warm-up: as many as one length may have, and two for each of six."""
_ROUNDING = 1e-9
"""The cube root of 64 is 3.9999999999999996."""


def repeated(row: Arrays, rows: int) -> dict[str, NDArray[Any]]:
    """A batch of `rows` equal rows."""
    return {name: np.repeat(array[:1], rows, axis=0) for name, array in row.items()}


class WarmUpRows(Mapping[Lengths, Sequence[Arrays]]):
    """Requests of one row, as many as there are golden rows, for each of the lengths that warm-up runs, largest last.

    They are made when they are asked for: of all lengths together, they are large.
    """

    def __init__(self, card: ModelCard, golden: Golden | None) -> None:
        self._lengths, self._sizes = card.lengths, warm_up_lengths(card.lengths)
        self._rows = _known_rows(card, golden)

    def __getitem__(self, sizes: Lengths) -> Sequence[Arrays]:
        return [of_lengths(row, self._lengths, sizes) for row in self._rows]

    def __iter__(self) -> Iterator[Lengths]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def smallest(self) -> Arrays:
        """A row of the smallest lengths."""
        return self[self._sizes[0]][0]

    @property
    def largest(self) -> Arrays:
        """A row of the largest lengths."""
        return self[self._sizes[-1]][0]


def warm_up_lengths(lengths: NamedLengths) -> list[Lengths]:
    """Every bucket with every bucket of the other lengths, the largest last; of many, fewer buckets of each length.

    At most `_MOST_COMBINATIONS`: buckets that are left out lie between two that are kept.
    """
    room, chosen = _MOST_COMBINATIONS, dict[str, tuple[int, ...]]()
    for left, name in enumerate(sorted(lengths, key=lambda name: len(lengths[name].buckets))):
        share = int(room ** (1 / (len(lengths) - left)) + _ROUNDING)
        chosen[name] = _spread(lengths[name].buckets, share)
        room //= len(chosen[name])
    return list(product(*(chosen[name] for name in lengths)))


def _spread(buckets: tuple[int, ...], most: int) -> tuple[int, ...]:
    """At most so many, which are 2 or more: the first, the last, and others evenly between them."""
    if len(buckets) <= most:
        return buckets
    return tuple(buckets[round(step * (len(buckets) - 1) / (most - 1))] for step in range(most))


def _known_rows(card: ModelCard, golden: Golden | None) -> list[dict[str, NDArray[Any]]]:
    """The golden rows, or a made-up one: one row of every input, the whole request where there is no batch."""
    if golden is None:
        return [made_up_row(card.inputs)]
    if not card.batched:
        return [dict(golden.inputs)]
    return [{name: array[place : place + 1] for name, array in golden.inputs.items()} for place in range(golden.rows)]


def of_lengths(row: Arrays, lengths: NamedLengths, sizes: Lengths) -> dict[str, NDArray[Any]]:
    """The row without masks, repeated along its lengths or cut: what is in it stays what the model knows."""
    masks = masks_of(lengths)
    made = {name: np.asarray(array) for name, array in row.items() if name not in masks}
    for name, axes in input_axes(lengths).items():
        for axis, place in axes.items() if name in made else ():
            made[name] = np.take(made[name], np.arange(sizes[place]) % made[name].shape[axis], axis)
    return made


def made_up_row(inputs: Iterable[TensorSpec]) -> dict[str, NDArray[Any]]:
    """Zeros, as numbers or as texts, for every input; an axis of unknown size is 1 long."""
    return {spec.name: _zeros(spec) for spec in inputs}


def _zeros(spec: TensorSpec) -> NDArray[Any]:
    shape = [1 if size == -1 else size for size in spec.shape]
    return np.full(shape, b"0", np.object_) if spec.datatype == "BYTES" else np.zeros(shape, NUMPY_DTYPE[spec.datatype])
