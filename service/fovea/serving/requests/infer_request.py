"""One inference as a front hands it in: what it asks for, and its data. Nothing here knows how it travelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from fovea.contract.model_card import ModelCard
from fovea.serving.observability.trace_origin import TraceOrigin
from fovea.serving.requests.answer import AnswerForm
from fovea.serving.requests.tensor_data import ExpectedInput

Parameters = Mapping[str, Any]
"""Name -> true or false, a number or a text; what else a caller sent is refused where the name means something."""


class Values(Protocol):
    """An input's values in a form of its front's own, such as a list out of JSON."""

    @property
    def bytes(self) -> int:
        """What they take as they are, about."""

    def array(self, expected: ExpectedInput) -> NDArray[Any]:
        """The array that is expected; InvalidRequest where the values do not make one."""


@dataclass(frozen=True, slots=True)
class InputTensor:
    """An input as a caller declares it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that a caller asks for."""

    name: str
    parameters: Parameters = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class RequestHeader:
    """What a request says beside its data and its id: the same in most requests of one client, so fronts keep it."""

    model: str
    version: str
    """"" for the one that the model's policy chooses."""
    inputs: Sequence[InputTensor]
    outputs: Sequence[RequestedOutput] = ()
    """Empty for all of them."""
    parameters: Parameters = field(default_factory=dict)
    for_card: Callable[[RequestHeader, ModelCard], RequestHeader] | None = None
    """Makes the whole header, where it depends on the model's card: a picture says no input's name."""
    passed: tuple[Any, Any] = (None, None)
    """The door that it passed last, and what that door made of it: for the door alone."""


def _any_answer(_form: AnswerForm, _rows: int) -> None:
    pass


@dataclass(slots=True, eq=False)
class InferRequest:
    """One inference."""

    header: RequestHeader
    data: Sequence[bytes | memoryview | Values | None]
    """Of each input that is not in shared memory, in the header's order: its raw bytes, or values; None of an input
    that came without any."""
    id: str = ""
    deadline_s: float | None = None
    """The call's own, on the monotonic clock."""
    bytes: int = 0
    """Bytes of the whole request, as it came."""
    header_bytes: int = 0
    """What of it is no tensor's data, as its front counts that; 0 where it cannot be much."""
    has_values: bool = False
    """Some of the data are values, or None."""
    origin: TraceOrigin | None = None
    """How it came; None where nobody asks (`Inference.wants_origins`)."""
    admits: Callable[[AnswerForm, int], None] = _any_answer
    """Asked before the model runs: InvalidRequest where the front cannot send an answer of this form and so many rows,
    whatever is in it."""
    alone: bool = False
    """Whether nothing else is in flight where it came in; see `QueuedRequest`."""
