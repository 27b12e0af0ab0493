"""Memory for the largest batch, set aside once, and a binding for each size of batch that was met."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest
from fovea.contract.lengths import Lengths
from fovea.contract.tensor_spec import TensorSpec
from fovea.raw_tensors import NUMPY_DTYPE
from fovea.runtime.arrays import Arrays
from fovea.runtime.device import Device, batch_buffer
from fovea.runtime.ort_errors import failure
from fovea.runtime.signature import Signature
from fovea.runtime.value_forms import only_tensors

_BINDINGS_KEPT = 256
_BOUND_BYTES = 1 << 30
"""Larger buffers than this are not set aside per session: such batches are allocated as they come."""
_IN_PLACE_BYTES = 1 << 19
"""Of inputs that are bound where they are: to bind them takes 10 µs, in which so much is copied at best."""

RowShape = Callable[[TensorSpec, Lengths], tuple[int, ...]]
"""A tensor's shape beyond the batch axis, in a batch of these lengths; -1 where a size is not known."""


def row_shape(spec: TensorSpec, _lengths: Lengths) -> tuple[int, ...]:
    """Of a tensor that has no lengths."""
    return spec.shape[1:]


def can_be_bound(session: Any, signature: Signature, shape_of: RowShape = row_shape, longest: Lengths = ()) -> bool:
    """Whether all are tensors that no request may leave out and that have a known size per row, and the whole batch
    fits in the buffers set aside.
    """
    if not only_tensors(session) or len(signature.inputs) != len(session.get_inputs()):
        return False
    specs = signature.tensors
    shapes = [shape_of(spec, longest) for spec in specs]
    if any(spec.datatype == "BYTES" or spec.shape[:1] != (-1,) for spec in specs) or any(-1 in one for one in shapes):
        return False
    sizes = [prod(shape) * NUMPY_DTYPE[spec.datatype].itemsize for spec, shape in zip(specs, shapes, strict=True)]
    return sum(sizes) * signature.max_batch_rows <= _BOUND_BYTES


def _bound_run(session: Any, binding: Any) -> Callable[[Any], None]:
    """Runs what is bound, with a run's options.

    ONNX Runtime 1.32's own method asks in every run whether WebGPU records it: 29 µs where the options do not say, by
    an exception. So what it calls in the end is called, where that is there.
    """
    run = getattr(getattr(session, "_sess", None), "run_with_iobinding", None)
    bound = getattr(binding, "_iobinding", None)
    return partial(session.run_with_iobinding, binding) if run is None or bound is None else partial(run, bound)


@dataclass(frozen=True)
class Bound:
    """One size of batch: what runs it, with a run's options, and the parts of the buffers that it reads and writes."""

    run: Callable[[Any], None]
    inputs: Arrays
    outputs: dict[str, NDArray[Any]]
    is_large: bool
    """Whether a request that is alone is better read in place than copied here."""


class BoundBuffers:
    """Batches of up to `max_batch_rows` rows and, where `shape_of` heeds them, of lengths up to `longest`."""

    def __init__(
        self,
        session: Any,
        signature: Signature,
        device: Device,
        shape_of: RowShape = row_shape,
        longest: Lengths = (),
    ) -> None:
        self._session, self._signature, self._shape_of = session, signature, shape_of
        self._is_on_cpu = device.kind == "cpu"
        rows = signature.max_batch_rows
        self._memory = {
            spec.name: batch_buffer((rows * prod(shape_of(spec, longest)),), NUMPY_DTYPE[spec.datatype], device)
            for spec in signature.tensors
        }
        self._bindings: OrderedDict[tuple[int, Lengths], Bound] = OrderedDict()

    def of(self, rows: int, lengths: Lengths = ()) -> Bound:
        """For a batch of this size; InvalidRequest where it has more than `max_batch_rows`."""
        bound = self._bindings.get((rows, lengths))
        if bound is None:
            bound = self._bindings[rows, lengths] = self._bind(rows, lengths)
            if len(self._bindings) > _BINDINGS_KEPT:
                self._bindings.popitem(last=False)
        else:
            self._bindings.move_to_end((rows, lengths))
        return bound

    def around(self, request: Arrays, bound: Bound) -> Bound | None:
        """The same where the inputs are a request's own, read in place; None where they do not lie as buffers do.

        Nobody may write to them until it has run.
        """
        inputs = {name: request[name] for name in bound.inputs}
        fit = all(_is_as(inputs[name], buffer) for name, buffer in bound.inputs.items())
        return self._bound(inputs, bound.outputs) if fit else None

    def run(self, bound: Bound, options: Any) -> None:
        """Run what is in its inputs. ExecutionFailed, or OutOfMemory, carries ONNX Runtime's reason."""
        try:
            bound.run(options)
        except Exception as error:
            raise failure(error) from error

    def _bind(self, rows: int, lengths: Lengths) -> Bound:
        most = self._signature.max_batch_rows
        if not 0 < rows <= most:
            raise InvalidRequest(f"a batch has 1 to {most} rows, not {rows}")
        inputs = {spec.name: self._view(spec, rows, lengths) for spec in self._signature.inputs}
        outputs = {spec.name: self._view(spec, rows, lengths) for spec in self._signature.outputs}
        return self._bound(inputs, outputs)

    def _bound(self, inputs: Arrays, outputs: dict[str, NDArray[Any]]) -> Bound:
        binding = self._session.io_binding()
        for name, view in inputs.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(view))
        for name, view in outputs.items():
            binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(view))
        is_large = self._is_on_cpu and sum(array.nbytes for array in inputs.values()) >= _IN_PLACE_BYTES
        return Bound(_bound_run(self._session, binding), inputs, outputs, is_large)

    def _view(self, spec: TensorSpec, rows: int, lengths: Lengths) -> NDArray[Any]:
        shape = (rows, *self._shape_of(spec, lengths))
        return self._memory[spec.name][: prod(shape)].reshape(shape)


def _is_as(array: NDArray[Any], buffer: NDArray[Any]) -> bool:
    """Whether an array lies in memory as a buffer does."""
    flags = array.flags
    return flags.c_contiguous and flags.aligned and array.dtype == buffer.dtype and array.shape == buffer.shape
