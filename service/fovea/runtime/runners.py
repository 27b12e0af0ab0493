"""Two ways to run rows of one shape: in buffers bound once, or with whatever ONNX Runtime allocates.

Both have three steps, so that each can be timed: gather (copy the callers' rows together), run, split (hand rows back).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, InvalidRequest
from fovea.runtime.arrays import Arrays
from fovea.runtime.buffers import Bound, BoundBuffers
from fovea.runtime.ort_errors import failure
from fovea.runtime.signature import Signature
from fovea.runtime.value_forms import value_of


class Runner(Protocol):
    """Gather, run, split; one batch at a time, by one thread. `padding_ratio` is that of the gathered batch."""

    @property
    def padding_ratio(self) -> float: ...

    def gather(self, requests: Sequence[Arrays]) -> None: ...

    def run(self, options: Any = None) -> None: ...

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]: ...


class BoundRunner:
    """Runs in buffers that are bound once per batch size: a run is then a single call of a few microseconds."""

    padding_ratio = 0.0  # rows of one shape need none

    def __init__(self, buffers: BoundBuffers, first_input: str) -> None:
        self._buffers = buffers
        self._first_input = first_input
        self._current = self._smallest = buffers.of(1)

    def gather(self, requests: Sequence[Arrays]) -> None:
        if len(requests) == 1:
            self._gather_one(requests[0])
            return
        starts = [0]
        for request in requests:
            starts.append(starts[-1] + len(request[self._first_input]))
        self._current = self._buffers.of(starts[-1])
        spans = [slice(start, stop) for start, stop in pairwise(starts)]
        for name, rows in self._current.inputs.items():
            for span, request in zip(spans, requests, strict=True):
                rows[span] = request[name]

    def _gather_one(self, request: Arrays) -> None:
        rows = len(request[self._first_input])
        bound = self._smallest if rows == 1 else self._buffers.of(rows)
        in_place = self._buffers.around(request, bound) if bound.is_large else None
        self._current = in_place or _filled(bound, request)

    def run(self, options: Any = None) -> None:
        try:
            self._buffers.run(self._current, options)
        except Exception:
            self._let_go()
            raise

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
        outputs = self._current.outputs
        self._let_go()
        if len(rows_per_request) == 1:
            return [dict(outputs)]
        return split_rows(outputs, rows_per_request)

    def _let_go(self) -> None:
        """A large request that was read in place is not kept until the next one comes."""
        self._current = self._smallest


def _filled(bound: Bound, request: Arrays) -> Bound:
    for name, rows in bound.inputs.items():
        rows[...] = request[name]
    return bound


class FreeRunner:
    """Runs what cannot be bound: text, sizes known only at run time, inputs that may be left out, values that are no
    tensors, and models without a batch axis.
    """

    padding_ratio = 0.0

    def __init__(self, session: Any, signature: Signature) -> None:
        self._session = session
        self._text = {spec.name for spec in signature.inputs if spec.datatype == "BYTES"}
        self._input_names = [spec.name for spec in signature.inputs]
        values = {value.name: value for value in map(value_of, session.get_outputs())}
        self._outputs = [values[spec.name] for spec in signature.outputs]
        self._output_names = [value.name for value in self._outputs]
        self._batched = signature.batched
        self._feed: dict[str, NDArray[Any]] = {}
        self._results: dict[str, NDArray[Any]] = {}

    def gather(self, requests: Sequence[Arrays]) -> None:
        if len(requests) > 1 and not self._batched:
            raise ExecutionFailed("this model has no batch axis: it takes one request at a time")
        sent = requests[0]  # all bring the same inputs
        self._feed = {name: self._joined(name, requests) for name in self._input_names if name in sent}

    def _joined(self, name: str, requests: Sequence[Arrays]) -> NDArray[Any]:
        arrays = [request[name] for request in requests]
        if len({array.shape[1:] for array in arrays}) > 1:
            raise ExecutionFailed(f"input {name}: requests of different shapes cannot share a batch")
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return _as_text(name, joined) if name in self._text else np.require(joined, None, ("C", "A"))

    def run(self, options: Any = None) -> None:
        feed, self._feed = self._feed, {}  # a large request is not kept until the next one comes
        try:
            results = self._session.run(self._output_names, feed, options)
        except Exception as error:
            raise failure(error) from error
        self._results = {value.name: value.array(one) for value, one in zip(self._outputs, results, strict=True)}

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
        results, self._results = self._results, {}
        if len(rows_per_request) == 1:
            return [results]
        rows = sum(rows_per_request)
        for name, array in results.items():
            if array.shape[:1] != (rows,):
                raise ExecutionFailed(f"output {name} has shape {list(array.shape)} for a batch of {rows} rows")
        return split_rows(results, rows_per_request)


def split_rows(outputs: Arrays, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
    """Views of each request's rows, in order."""
    parts = []
    start = 0
    for rows in rows_per_request:
        stop = start + rows
        parts.append({name: array[start:stop] for name, array in outputs.items()})
        start = stop
    return parts


def _as_text(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """ONNX Runtime's strings are Unicode; the protocol's BYTES are bytes."""
    try:
        text = [item.decode() if isinstance(item, bytes) else str(item) for item in array.flat]
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"input {name} holds text that is not UTF-8") from error
    return np.array(text, np.object_).reshape(array.shape)
