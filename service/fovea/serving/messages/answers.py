"""Arrays to ModelInferResponse bytes: what is the same in every answer of a kind is serialized once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed
from fovea.contract.model_card import TensorSpec
from fovea.contract.reshape import Reshape
from fovea.raw_tensors import NUMPY_DTYPE
from fovea.runtime.arrays import Arrays
from fovea.serving.messages.classification import best_classes
from fovea.serving.messages.tensors import to_raw
from fovea.serving.shared_memory.places import Place
from fovea.serving.shared_memory.regions import Held
from fovea.wire import length_mark, message

_InferResponse = message("ModelInferResponse")
_OutputTensor = message("ModelInferResponse.InferOutputTensor")
_SHAPES_KEPT = 64


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output to send; `top` > 0 sends the best `top` classes instead of the numbers."""

    spec: TensorSpec
    top: int = 0
    place: Place | None = None
    """Where in shared memory it is to go."""
    reshape: Reshape | None = None
    """From the model's shape to the one that clients get."""

    @property
    def datatype(self) -> str:
        """As it is sent."""
        return "BYTES" if self.top else self.spec.datatype

    @property
    def row_elements(self) -> int:
        """Of a row, or of all where its first axis is none of rows; 0 where that is not known, or none is sent."""
        shape = self.spec.shape
        sizes = shape[1:] if shape[:1] == (-1,) else shape
        return 0 if self.place is not None or self.top or -1 in sizes else prod(sizes)

    @property
    def row_bytes(self) -> int:
        """The same in bytes; 0 for texts."""
        return 0 if self.datatype == "BYTES" else self.row_elements * NUMPY_DTYPE[self.datatype].itemsize


@dataclass(frozen=True, slots=True)
class AnswerMaker:
    """What all answers of one model version have in common."""

    model: str
    version: str
    labels: Mapping[str, Sequence[str]]
    """By output."""
    batched: bool

    def head(self, wanted: tuple[WantedOutput, ...], shapes: tuple[tuple[int, ...], ...]) -> bytes:
        """An answer without its id and its data, serialized."""
        response = _InferResponse(model_name=self.model, model_version=self.version)
        for output, shape in zip(wanted, shapes, strict=True):
            response.outputs.add(name=output.spec.name, datatype=output.datatype, shape=shape)
        return bytes(response.SerializeToString())

    def array(self, output: WantedOutput, outputs: Arrays) -> NDArray[Any]:
        """What is sent of an output."""
        name = output.spec.name
        array = outputs[name]
        if output.reshape is not None:
            array = _reshaped(name, array, output.reshape)
        if not output.top:
            return array
        return best_classes(array, output.top, self.labels.get(name, ()), by_row=self._by_row(output.spec))

    def _by_row(self, spec: TensorSpec) -> bool:
        """Rows without number have classes each, also where a model does not batch them with those of others."""
        return self.batched or (len(spec.shape) > 1 and spec.shape[0] == -1)


def _reshaped(name: str, array: NDArray[Any], reshape: Reshape) -> NDArray[Any]:
    try:
        return array.reshape(reshape.shape(array.shape))
    except ValueError as error:
        raise ExecutionFailed(f"output {name} cannot be reshaped as its model's configuration says: {error}") from error


class AnswerForm:
    """Answers that carry the same outputs."""

    def __init__(self, maker: AnswerMaker, wanted: tuple[WantedOutput, ...]) -> None:
        self.wanted = wanted
        self.row_bytes = sum(output.row_bytes for output in wanted)
        """What a row of an answer has at least; of outputs whose sizes are not known, nothing is counted."""
        self._maker = maker
        self._heads: dict[tuple[tuple[int, ...], ...], bytes] = {}

    def arrays(self, outputs: Arrays) -> list[NDArray[Any]]:
        """What is sent of a model's outputs, as `wanted` lists them."""
        return [self._maker.array(output, outputs) for output in self.wanted]

    def encode(self, request_id: str, arrays: Sequence[NDArray[Any]]) -> bytes:
        """The serialized ModelInferResponse, with the arrays' bytes.

        Serialized fields may be joined in any order, and the joined bytes are the message that has them all.
        """
        shapes = tuple([array.shape for array in arrays])
        parts = [self._heads.get(shapes) or self._new_head(shapes)]
        if request_id:
            parts.append(_InferResponse(id=request_id).SerializeToString())
        for array in arrays:
            raw = to_raw(array)
            parts += (length_mark(_RAW_TAG, len(raw)), raw)
        return b"".join(parts)

    def encode_shared(self, request_id: str, arrays: Sequence[NDArray[Any]], held: Held) -> bytes:
        """The same, with outputs put into shared memory; RegionTooSmall where one does not fit.

        As from Triton, such an output has an entry of no bytes: clients find the others' by counting.
        """
        response = _InferResponse(id=request_id)
        response.MergeFromString(self._maker.head(self.wanted, tuple(array.shape for array in arrays)))
        for output, array, told in zip(self.wanted, arrays, response.outputs, strict=True):
            raw = to_raw(array)
            if output.place is not None:
                held.write(output.place, raw)
                told.MergeFrom(_OutputTensor(parameters=output.place.parameters(len(raw))))
            response.raw_output_contents.append(b"" if output.place else raw)
        return bytes(response.SerializeToString())

    def _new_head(self, shapes: tuple[tuple[int, ...], ...]) -> bytes:
        if len(self._heads) >= _SHAPES_KEPT:
            self._heads.clear()
        head = self._heads[shapes] = self._maker.head(self.wanted, shapes)
        return head


def with_id(body: bytes, request_id: str) -> bytes:
    """An answer that was made without an id, with one."""
    return body + _InferResponse(id=request_id).SerializeToString() if request_id else body


_RAW_TAG = bytes(_InferResponse(raw_output_contents=[b""]).SerializeToString()[:-1])
