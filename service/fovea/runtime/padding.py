"""Sequences of different lengths in one batch: filled up to a common length, told apart by a mask, cut again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, InvalidRequest, OutOfMemory
from fovea.contract.model_card import TensorSpec
from fovea.contract.sequence import SequenceSpec
from fovea.raw_tensors import NUMPY_DTYPE
from fovea.runtime.arrays import Arrays
from fovea.runtime.buffers import Bound, BoundBuffers, can_be_bound
from fovea.runtime.device import Device
from fovea.runtime.runners import FreeRunner
from fovea.runtime.signature import Signature

Place = tuple[slice, ...]
_ALL = slice(None)


@dataclass(frozen=True)
class Batch:
    """How requests lie in a batch: rows and length of each, and the length that all are filled up to."""

    rows_each: tuple[int, ...]
    lengths: tuple[int, ...]
    length: int

    @property
    def rows(self) -> int:
        """In all."""
        return sum(self.rows_each)

    @property
    def padding_ratio(self) -> float:
        """The share of it that is padding."""
        data = sum(rows * length for rows, length in zip(self.rows_each, self.lengths, strict=True))
        return 1.0 - data / (self.rows * self.length)


class Padding:
    """How a model's sequences are laid side by side; knows shapes, and runs nothing.

    `to_buckets`: every batch is as long as its bucket, so that a device meets few sizes, all of them warm. Otherwise a
    batch is as long as its longest sequence: a CPU takes every size alike, and the rest would be work for nothing. A
    model that is never padded meets every size anyway.
    """

    def __init__(self, sequence: SequenceSpec, inputs: Sequence[TensorSpec], *, to_buckets: bool) -> None:
        self._sequence, self._to_buckets = sequence, to_buckets and sequence.padded
        self.longest_bucket = sequence.buckets[-1]
        self._inputs = tuple(inputs)
        self._lengths = sequence.lengths
        self._first, self._first_axis = next(iter(sequence.inputs.items()))
        self._cuts = {name: axes for name, axes in sequence.outputs.items() if axes}

    def batch(self, requests: Sequence[Arrays]) -> Batch:
        """The layout of a batch of these requests, which all fall into one bucket."""
        shapes = [request[self._first].shape for request in requests]
        lengths = tuple([shape[self._first_axis] for shape in shapes])
        longest = max(lengths)
        length = self._sequence.bucket(longest) if self._to_buckets else longest
        return Batch(tuple([shape[0] for shape in shapes]), lengths, length)

    def row_shape(self, spec: TensorSpec, length: int) -> tuple[int, ...]:
        """Of an input, output or map, beyond the batch axis, in a batch of this length."""
        axes = self._cuts.get(spec.name, (self._lengths.get(spec.name),))
        return tuple(length if axis in axes else size for axis, size in enumerate(spec.shape) if axis)

    def fill(self, batch: Batch, requests: Sequence[Arrays], inputs: Arrays) -> None:
        """Copy the requests into the inputs of a batch, side by side, and fill up what is left."""
        start = 0
        for rows, length, request in zip(batch.rows_each, batch.lengths, requests, strict=True):
            span = slice(start, start + rows)
            for name, target in inputs.items():
                self._fill(name, target[span], request, length)
            start += rows

    def _fill(self, name: str, target: NDArray[Any], request: Arrays, length: int) -> None:
        axis = self._lengths.get(name)
        if axis is None or length == target.shape[axis]:
            target[...] = request.get(name, 1)
            return
        before = (_ALL,) * axis
        target[*before, :length] = request.get(name, 1)  # a mask that was not sent is 1 where there is data
        target[*before, length:] = self._sequence.padding.get(name, 0)

    def whole(self, request: Arrays) -> Arrays:
        """A request as it is, with the mask."""
        mask = self._sequence.mask
        if mask is None or mask in request:
            return request
        dtype = next(NUMPY_DTYPE[spec.datatype] for spec in self._inputs if spec.name == mask)
        first = request[self._first]
        return {**request, mask: np.ones((len(first), first.shape[self._first_axis]), dtype)}

    def cut(self, outputs: Arrays, rows_each: Sequence[int], lengths: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
        """Each request's rows of every output, as long as its sequence: views."""
        parts = []
        start = 0
        for rows, length in zip(rows_each, lengths, strict=True):
            span = slice(start, start + rows)
            parts.append({name: array[self._place(name, array, span, length)] for name, array in outputs.items()})
            start += rows
        return parts

    def _place(self, name: str, array: NDArray[Any], span: slice, length: int) -> Place:
        axes = self._cuts.get(name, ())
        return (span, *(slice(length) if axis in axes else _ALL for axis in range(1, array.ndim)))

    def output_shape(self, name: str, found: tuple[int, ...], batch: Batch) -> tuple[int, ...]:
        """What an output of this batch must look like: its rows and lengths follow, the rest is as it was found."""
        axes = self._cuts.get(name, ())
        sizes = (batch.length if axis in axes else size for axis, size in enumerate(found))
        return (batch.rows, *list(sizes)[1:])

    def joined(self, requests: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
        """Requests as one that has the mask and is filled up, in memory of its own."""
        batch = self.batch(requests)
        inputs = {name: np.empty(shape, dtype) for name, shape, dtype in self._sizes(batch, requests)}
        self.fill(batch, requests, inputs)
        return inputs

    def _sizes(self, batch: Batch, requests: Sequence[Arrays]) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
        """Of every input; a size that the model leaves open is the first request's."""
        found = []
        for spec in self._inputs:
            shape = self.row_shape(spec, batch.length)
            if -1 in shape:
                shape = requests[0][spec.name].shape[1:]
            found.append((spec.name, (batch.rows, *shape), NUMPY_DTYPE[spec.datatype]))
        return found


class WholeRunner(FreeRunner):
    """Runs sequences of a model that does not batch, each request by itself, with the mask."""

    def __init__(self, session: Any, signature: Signature, padding: Padding) -> None:
        super().__init__(session, signature)
        self._padding = padding

    def gather(self, requests: Sequence[Arrays]) -> None:
        super().gather([self._padding.whole(request) for request in requests])


class PaddedRunner:
    """Runs padded batches: in buffers bound per size where the sizes of all tensors follow from rows and length."""

    def __init__(self, session: Any, signature: Signature, device: Device, padding: Padding) -> None:
        self._padding = padding
        self._free = FreeRunner(session, signature)
        self._longest_bound = longest = padding.longest_bucket
        self._buffers: BoundBuffers | None = None
        if can_be_bound(session, signature, padding.row_shape, longest):
            self._buffers = BoundBuffers(session, signature, device, padding.row_shape, longest)
        self._batch = Batch((), (), 0)
        self._bound: Bound | None = None

    @property
    def padding_ratio(self) -> float:
        """Of the batch in hand."""
        return self._batch.padding_ratio

    def gather(self, requests: Sequence[Arrays]) -> None:
        self._batch = batch = self._padding.batch(requests)
        self._bound = None
        if self._buffers is None or batch.length > self._longest_bound:
            self._free.gather([self._padding.joined(requests)])
        else:
            self._bound = self._buffers.of(batch.rows, batch.length)
            self._padding.fill(batch, requests, self._bound.inputs)

    def run(self, options: Any = None) -> None:
        try:
            self._run(options)
        except OutOfMemory:
            raise
        except ExecutionFailed as error:
            length, most = self._batch.length, self._padding.longest_bucket
            if length <= most:
                raise
            raise InvalidRequest(f"the model cannot run a sequence of {length}: up to {most} it was tried") from error

    def _run(self, options: Any) -> None:
        if self._buffers is None or self._bound is None:
            self._free.run(options)
        else:
            self._buffers.run(self._bound, options)

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
        outputs = self._bound.outputs if self._bound is not None else self._free_outputs()
        return self._padding.cut(outputs, rows_per_request, self._batch.lengths)

    def _free_outputs(self) -> Arrays:
        """Bound outputs have the sizes that were bound; others are looked at before they are cut."""
        [outputs] = self._free.split([self._batch.rows])
        for name, array in outputs.items():
            expected = self._padding.output_shape(name, array.shape, self._batch)
            if array.shape != expected:
                raise ExecutionFailed(f"output {name} has shape {list(array.shape)}, expected {list(expected)}")
        return outputs
