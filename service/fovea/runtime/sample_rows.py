"""Rows to run a model with before anybody has sent one: the golden batch's, made-up ones, random ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.model_card import ModelCard, TensorSpec
from fovea.contract.sequence import SequenceSpec
from fovea.raw_tensors import NUMPY_DTYPE
from fovea.runtime.arrays import Arrays
from fovea.runtime.golden import Golden


def repeated(row: Arrays, rows: int) -> dict[str, NDArray[Any]]:
    """A batch of `rows` equal rows."""
    return {name: np.repeat(array[:1], rows, axis=0) for name, array in row.items()}


def warm_up_rows(card: ModelCard, golden: Golden | None) -> dict[int | None, dict[str, NDArray[Any]]]:
    """Length -> a row of that length, for every bucket in ascending order; the one row of a model without sequences."""
    row = _known_row(card, golden)
    if card.sequence is None:
        return {None: row}
    return {length: of_length(row, card.sequence, length) for length in card.sequence.buckets}


def _known_row(card: ModelCard, golden: Golden | None) -> dict[str, NDArray[Any]]:
    """The first golden row, or a made-up one: one row of every input, the whole request where there is no batch."""
    if golden is None:
        return made_up_row(card.inputs)
    return {name: array[:1] if card.batched else array for name, array in golden.inputs.items()}


def of_length(row: Arrays, sequence: SequenceSpec, length: int) -> dict[str, NDArray[Any]]:
    """The row without a mask, repeated along its sequence or cut: what is in it stays what the model knows."""
    made = {name: array for name, array in row.items() if name != sequence.mask}
    for name, axis in sequence.inputs.items():
        made[name] = np.take(row[name], np.arange(length) % row[name].shape[axis], axis)
    return made


def made_up_row(inputs: Iterable[TensorSpec]) -> dict[str, NDArray[Any]]:
    """Zeros (empty texts) for every input; an axis of unknown size is 1 long."""
    return {spec.name: _zeros(spec) for spec in inputs}


def _zeros(spec: TensorSpec) -> NDArray[Any]:
    shape = [1 if size == -1 else size for size in spec.shape]
    return np.full(shape, b"", np.object_) if spec.datatype == "BYTES" else np.zeros(shape, NUMPY_DTYPE[spec.datatype])


def random_row(inputs: Iterable[TensorSpec], length: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """One row of every input; an axis of unknown size is `length` long."""
    return {spec.name: _random(spec, length, rng) for spec in inputs}


def _random(spec: TensorSpec, length: int, rng: np.random.Generator) -> NDArray[Any]:
    """One row. Positive floats suit logarithms and roots; 0 and 1 are in every vocabulary."""
    shape = [1, *(length if size == -1 else size for size in spec.shape[1:])]
    if spec.datatype == "BYTES":
        return rng.choice(np.array([b"a", b"b"], np.object_), shape)
    dtype = np.dtype(NUMPY_DTYPE[spec.datatype])
    if dtype.kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, 256 if dtype == np.uint8 else 2, shape).astype(dtype)
