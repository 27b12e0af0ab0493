"""Answers: which outputs one carries, how a model's arrays become them, and all that a front needs to write one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, InvalidRequest
from fovea.contract.reshape import Reshape
from fovea.contract.tensor_spec import TensorSpec
from fovea.raw_tensors import NUMPY_DTYPE
from fovea.runtime.arrays import Arrays
from fovea.serving.requests.best_classes import best_classes
from fovea.serving.shared_memory.places import Place


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
        """The datatype that is sent: BYTES where classes were asked for."""
        return "BYTES" if self.top else self.spec.datatype

    @property
    def row_elements(self) -> int:
        """Elements of a row, or of all where axis 0 is none of rows; 0 where that is not known, or none is sent."""
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
    """Output -> the labels of its classes."""
    batched: bool

    def array(self, output: WantedOutput, outputs: Arrays) -> NDArray[Any]:
        """The array to send for an output: reshaped, or its best classes."""
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
    """Answers of one version that carry the same outputs. Requests that want the same may share one."""

    def __init__(self, maker: AnswerMaker, wanted: tuple[WantedOutput, ...]) -> None:
        self.wanted = wanted
        self.model, self.version = maker.model, maker.version
        self.row_bytes = sum(output.row_bytes for output in wanted)
        """What a row of an answer has at least; of outputs whose sizes are not known, nothing is counted."""
        self._maker = maker
        self._names = [output.spec.name for output in wanted]
        self._as_they_are = not any(output.top or output.reshape for output in wanted)

    def arrays(self, outputs: Arrays) -> list[NDArray[Any]]:
        """What is sent of a model's outputs, as `wanted` lists them."""
        if self._as_they_are:
            return [outputs[name] for name in self._names]
        return [self._maker.array(output, outputs) for output in self.wanted]


@dataclass(slots=True, eq=False)
class Answer:
    """One answer, or a piece of one."""

    form: AnswerForm
    id: str
    """The request's id, sent back."""
    arrays: list[NDArray[Any]]
    """As `form.wanted` lists them; views that hold until it has been sent."""
    written: Mapping[str, int] = field(default_factory=dict)
    """Output -> bytes of it that were put into shared memory, at its place: they are not sent."""


def answer_too_large(size: int, most_bytes: int) -> InvalidRequest:
    """For an answer of so many bytes."""
    return InvalidRequest(f"the answer has {size} bytes, the limit is {most_bytes} (--max-message-mb)")
