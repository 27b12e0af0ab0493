"""Requests of different lengths in one batch: filled up to common lengths, told apart by masks, cut again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.lengths import Lengths, NamedLengths, filling_of, input_axes, output_axes
from fovea.contract.tensor_spec import TensorSpec
from fovea.raw_tensors import NUMPY_DTYPE
from fovea.runtime.arrays import Arrays

Place = tuple[slice, ...]
_ALL = slice(None)
_NO_AXES: dict[int, int] = {}


@dataclass(frozen=True)
class Batch:
    """How requests lie in a batch: rows and lengths of each, and the lengths that all are filled up to."""

    rows_each: tuple[int, ...]
    lengths_each: tuple[Lengths, ...]
    lengths: Lengths

    @property
    def rows(self) -> int:
        """Rows of the whole batch."""
        return sum(self.rows_each)


class Padding:
    """How requests to a model with lengths are laid side by side; knows shapes, and runs nothing.

    `to_buckets`: every batch is as long as its buckets, so that a device meets few sizes, all of them warm. Otherwise a
    batch is as long as its longest request: a CPU takes every size alike, and the rest would be work for nothing. A
    length that is never padded meets every size anyway.
    """

    def __init__(self, lengths: NamedLengths, inputs: Sequence[TensorSpec], *, to_buckets: bool) -> None:
        self._lengths, self._inputs = tuple(lengths.values()), tuple(inputs)
        self._names = tuple(lengths)
        self._to_buckets = tuple(to_buckets and length.padded for length in self._lengths)
        self.longest = tuple(length.buckets[-1] for length in self._lengths)
        """The last bucket of each length."""
        self._measured = tuple(next(iter(length.inputs.items())) for length in self._lengths)
        """For each length, an input that is always sent, and its axis."""
        self._axes, self._cuts = input_axes(lengths), output_axes(lengths)
        self._filling = filling_of(lengths)
        self._masks = {length.mask: place for place, length in enumerate(self._lengths) if length.mask is not None}
        self._weights = self._elements_by_axes()

    def batch(self, requests: Sequence[Arrays]) -> Batch:
        """The layout of a batch of these requests, which all fall into the same buckets."""
        sizes = [[request[name].shape[axis] for request in requests] for name, axis in self._measured]
        lengths = tuple([self._common(place, max(own)) for place, own in enumerate(sizes)])
        first, _ = self._measured[0]
        return Batch(tuple([len(request[first]) for request in requests]), tuple(zip(*sizes, strict=True)), lengths)

    def _common(self, place: int, longest: int) -> int:
        return self._lengths[place].bucket(longest) if self._to_buckets[place] else longest

    def beyond(self, lengths: Lengths) -> str:
        """The lengths that are beyond their last bucket, in words; nothing where none is."""
        sizes = zip(self._names, lengths, self.longest, strict=True)
        return ", ".join(f"{name} {size} (tried up to {most})" for name, size, most in sizes if size > most)

    def padding_ratio(self, batch: Batch) -> float:
        """The share of the inputs' elements that is padding, over the inputs that have a length."""
        data = sum(rows * self._elements(own) for rows, own in zip(batch.rows_each, batch.lengths_each, strict=True))
        return 1.0 - data / (batch.rows * self._elements(batch.lengths))

    def _elements(self, lengths: Lengths) -> int:
        """In a row of these lengths; with one length it is that, since it is only ever compared."""
        if len(lengths) == 1:
            return lengths[0]
        return sum([count * prod([lengths[place] for place in places]) for places, count in self._weights])

    def _elements_by_axes(self) -> list[tuple[Lengths, int]]:
        """Places of lengths -> how many elements a row has for each of their product; an open size counts as 1."""
        found: Counter[tuple[int, ...]] = Counter()
        for spec in self._inputs:
            axes = self._axes.get(spec.name, _NO_AXES)
            if axes:
                sizes = [max(size, 1) for axis, size in enumerate(spec.shape) if axis and axis not in axes]
                found[tuple(axes.values())] += prod(sizes)
        return list(found.items())

    def row_shape(self, spec: TensorSpec, lengths: Lengths) -> tuple[int, ...]:
        """Of an input, output or map, beyond the batch axis, in a batch of these lengths."""
        axes = self._cuts.get(spec.name) or self._axes.get(spec.name, _NO_AXES)
        return tuple([lengths[axes[axis]] if axis in axes else size for axis, size in enumerate(spec.shape) if axis])

    def fill(self, batch: Batch, requests: Sequence[Arrays], inputs: Arrays) -> None:
        """Copy the requests into the inputs of a batch, side by side, and fill up what is left."""
        start = 0
        for rows, lengths, request in zip(batch.rows_each, batch.lengths_each, requests, strict=True):
            span = slice(start, start + rows)
            for name, target in inputs.items():
                self._fill(name, target[span], request, lengths)
            start += rows

    def _fill(self, name: str, target: NDArray[Any], request: Arrays, lengths: Lengths) -> None:
        for axis, which in self._axes.get(name, _NO_AXES).items():
            length = lengths[which]
            if length < target.shape[axis]:
                before = (_ALL,) * axis
                target[*before, length:] = self._filling.get(name, 0)
                target = target[*before, :length]
        target[...] = request.get(name, 1)  # a mask that was not sent is 1 where there is data

    def whole(self, request: Arrays) -> Arrays:
        """A request as it is, with every mask."""
        missing = {name: place for name, place in self._masks.items() if name not in request}
        if not missing:
            return request
        batch = self.batch([request])
        dtypes = {spec.name: NUMPY_DTYPE[spec.datatype] for spec in self._inputs}
        [lengths] = batch.lengths_each
        made = {name: np.ones((batch.rows, lengths[place]), dtypes[name]) for name, place in missing.items()}
        return {**request, **made}

    def cut(
        self, outputs: Arrays, rows_each: Sequence[int], lengths_each: Sequence[Lengths]
    ) -> list[dict[str, NDArray[Any]]]:
        """Each request's rows of every output, as long as the request's own lengths: views."""
        parts = []
        start = 0
        for rows, lengths in zip(rows_each, lengths_each, strict=True):
            span = slice(start, start + rows)
            parts.append({name: array[self._place(name, array, span, lengths)] for name, array in outputs.items()})
            start += rows
        return parts

    def _place(self, name: str, array: NDArray[Any], span: slice, lengths: Lengths) -> Place:
        axes = self._cuts.get(name, _NO_AXES)
        own = (slice(lengths[axes[axis]]) if axis in axes else _ALL for axis in range(1, array.ndim))
        return (span, *own)

    def output_shape(self, name: str, found: tuple[int, ...], batch: Batch) -> tuple[int, ...]:
        """What an output of this batch must look like: its rows and lengths follow, the rest is as it was found."""
        axes = self._cuts.get(name, _NO_AXES)
        sizes = (batch.lengths[axes[axis]] if axis in axes else size for axis, size in enumerate(found))
        return (batch.rows, *list(sizes)[1:])

    def joined(self, requests: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
        """Requests as one that has the masks and is filled up, in memory of its own."""
        batch = self.batch(requests)
        inputs = {name: np.empty(shape, dtype) for name, shape, dtype in self._sizes(batch, requests)}
        self.fill(batch, requests, inputs)
        return inputs

    def _sizes(self, batch: Batch, requests: Sequence[Arrays]) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
        """Of every input; a size that the model leaves open is the first request's."""
        found = []
        for spec in self._inputs:
            shape = self.row_shape(spec, batch.lengths)
            if -1 in shape:
                shape = self._with_open_sizes(spec, shape, requests[0])
            found.append((spec.name, (batch.rows, *shape), NUMPY_DTYPE[spec.datatype]))
        return found

    @staticmethod
    def _with_open_sizes(spec: TensorSpec, shape: tuple[int, ...], request: Arrays) -> tuple[int, ...]:
        own = request[spec.name].shape[1:]
        return tuple(size if known == -1 else known for known, size in zip(shape, own, strict=True))
