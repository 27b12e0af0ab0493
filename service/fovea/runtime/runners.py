"""The two ways to run a batch: in buffers bound once, or with whatever ONNX Runtime allocates.

Both have three steps, so that each can be timed: gather (copy the callers' rows together), run, split (hand rows back).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, InvalidRequest
from fovea.contract.model_card import TensorSpec
from fovea.runtime.datatypes import NUMPY_DTYPE
from fovea.runtime.device import Device, batch_buffer
from fovea.runtime.ort_errors import short_reason

Arrays = Mapping[str, NDArray[Any]]

_BINDINGS_KEPT = 128
_BOUND_BYTES = 1 << 30
"""Larger buffers than this are not set aside per session: such batches are allocated as they come."""


class Runner(Protocol):
    """Gather, run, split; one batch at a time, by one thread."""

    def gather(self, requests: Sequence[Arrays]) -> None: ...

    def run(self) -> None: ...

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]: ...


def can_be_bound(specs: Sequence[TensorSpec], max_batch_rows: int) -> bool:
    """Whether every tensor has a known size per row, and the whole batch fits in the buffers set aside."""
    if any(spec.datatype == "BYTES" or spec.shape[:1] != (-1,) or -1 in spec.shape[1:] for spec in specs):
        return False
    row_bytes = sum(_elements(spec.shape[1:]) * NUMPY_DTYPE[spec.datatype].itemsize for spec in specs)
    return row_bytes * max_batch_rows <= _BOUND_BYTES


def _elements(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


@dataclass(frozen=True)
class _Bound:
    """One batch size: its binding, and the parts of the buffers that it reads and writes."""

    binding: Any
    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]


class BoundRunner:
    """Runs in buffers that are bound once per batch size: a run is then a single call of a few microseconds."""

    def __init__(
        self, session: Any, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], max_rows: int, device: Device
    ) -> None:
        self._session = session
        self._max_rows = max_rows
        self._first_input = inputs[0].name
        self._inputs = {spec.name: _buffer(spec, max_rows, device) for spec in inputs}
        self._outputs = {spec.name: _buffer(spec, max_rows, device) for spec in outputs}
        self._bindings: OrderedDict[int, _Bound] = OrderedDict()
        self._current = self._bound(1)

    def gather(self, requests: Sequence[Arrays]) -> None:
        if len(requests) == 1:
            self._gather_one(requests[0])
            return
        starts = [0]
        for request in requests:
            starts.append(starts[-1] + len(request[self._first_input]))
        self._current = self._bound(starts[-1])
        spans = [slice(start, stop) for start, stop in pairwise(starts)]
        for name, rows in self._current.inputs.items():
            for span, request in zip(spans, requests, strict=True):
                rows[span] = request[name]

    def _gather_one(self, request: Arrays) -> None:
        self._current = self._bound(len(request[self._first_input]))
        for name, rows in self._current.inputs.items():
            np.copyto(rows, request[name])

    def run(self) -> None:
        try:
            self._session.run_with_iobinding(self._current.binding)
        except Exception as error:
            raise ExecutionFailed(short_reason(error)) from error

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
        outputs = self._current.outputs
        if len(rows_per_request) == 1:
            return [dict(outputs)]
        return split_rows(outputs, rows_per_request)

    def _bound(self, rows: int) -> _Bound:
        bound = self._bindings.get(rows)
        if bound is None:
            bound = self._bindings[rows] = self._bind(rows)
            if len(self._bindings) > _BINDINGS_KEPT:
                self._bindings.popitem(last=False)
        else:
            self._bindings.move_to_end(rows)
        return bound

    def _bind(self, rows: int) -> _Bound:
        if not 0 < rows <= self._max_rows:
            raise InvalidRequest(f"a batch has 1 to {self._max_rows} rows, not {rows}")
        binding = self._session.io_binding()
        inputs = {name: buffer[:rows] for name, buffer in self._inputs.items()}
        outputs = {name: buffer[:rows] for name, buffer in self._outputs.items()}
        for name, view in inputs.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(view))
        for name, view in outputs.items():
            binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(view))
        return _Bound(binding, inputs, outputs)


class FreeRunner:
    """Runs what cannot be bound: text, sizes known only at run time, and models without a batch axis."""

    def __init__(
        self, session: Any, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], batched: bool
    ) -> None:
        self._session = session
        self._text = {spec.name for spec in inputs if spec.datatype == "BYTES"}
        self._input_names = [spec.name for spec in inputs]
        self._output_names = [spec.name for spec in outputs]
        self._batched = batched
        self._feed: dict[str, NDArray[Any]] = {}
        self._results: dict[str, NDArray[Any]] = {}

    def gather(self, requests: Sequence[Arrays]) -> None:
        if len(requests) > 1 and not self._batched:
            raise ExecutionFailed("this model has no batch axis: it takes one request at a time")
        self._feed = {name: self._joined(name, requests) for name in self._input_names}

    def _joined(self, name: str, requests: Sequence[Arrays]) -> NDArray[Any]:
        arrays = [request[name] for request in requests]
        if len({array.shape[1:] for array in arrays}) > 1:
            raise ExecutionFailed(f"input {name}: requests of different shapes cannot share a batch")
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return _as_text(name, joined) if name in self._text else np.ascontiguousarray(joined)

    def run(self) -> None:
        try:
            results = self._session.run(self._output_names, self._feed)
        except Exception as error:
            raise ExecutionFailed(short_reason(error)) from error
        self._results = {name: _as_bytes(array) for name, array in zip(self._output_names, results, strict=True)}

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
        if len(rows_per_request) == 1:
            return [self._results]
        rows = sum(rows_per_request)
        for name, array in self._results.items():
            if array.shape[:1] != (rows,):
                raise ExecutionFailed(f"output {name} has shape {list(array.shape)} for a batch of {rows} rows")
        return split_rows(self._results, rows_per_request)


def split_rows(outputs: Arrays, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
    """Views of each request's rows, in order."""
    parts = []
    start = 0
    for rows in rows_per_request:
        stop = start + rows
        parts.append({name: array[start:stop] for name, array in outputs.items()})
        start = stop
    return parts


def _buffer(spec: TensorSpec, rows: int, device: Device) -> NDArray[Any]:
    return batch_buffer((rows, *spec.shape[1:]), NUMPY_DTYPE[spec.datatype], device)


def _as_text(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """ONNX Runtime's strings are Unicode; the protocol's BYTES are bytes."""
    try:
        text = [item.decode() if isinstance(item, bytes) else str(item) for item in array.flat]
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"input {name} holds text that is not UTF-8") from error
    return np.array(text, np.object_).reshape(array.shape)


def _as_bytes(result: Any) -> NDArray[Any]:
    array = np.asarray(result)
    if array.dtype.kind not in "OU":
        return array
    return np.array([str(item).encode() for item in array.flat], np.object_).reshape(array.shape)
