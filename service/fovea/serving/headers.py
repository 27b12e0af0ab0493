"""What a request says besides its data: which tensors it brings, which outputs it wants. All of it is checked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import MAP_PREFIX, ModelCard, TensorSpec
from fovea.serving.answers import AnswerForm, AnswerMaker, WantedOutput
from fovea.serving.kinds import KindOfRequest
from fovea.serving.picture_input import PictureInput, picture_input
from fovea.serving.places import PLACE_PARAMETERS, Place, place_of
from fovea.serving.requests import Kind
from fovea.serving.tensors import RawTensor

_CLASSIFICATION_MAX = 2**31


@dataclass(frozen=True, slots=True)
class Header:
    """A request's header that has passed."""

    inputs: tuple[RawTensor, ...]
    """As the request lists them."""
    rows: int
    kind: Kind
    answer: AnswerForm
    timeout_s: float | None
    """How long it may wait in the queue."""
    priority: int
    """Lower goes first."""
    pictures: PictureInput | None = None
    """The input that came as pictures, if one did."""
    raw_count: int = 0
    """Inputs whose data comes with the message; that of the others is in shared memory."""
    output_places: tuple[Place, ...] = ()
    """Where in shared memory outputs are to go."""


@dataclass(frozen=True, slots=True)
class RequestDefaults:
    """What holds for requests that do not say it themselves."""

    timeout_s: float | None = None
    priority_levels: int = 0
    """0: priorities mean nothing."""
    priority: int = 0
    """0: the last level."""

    def level(self, asked: int) -> int:
        """Of a request that asks for a priority; 0, or one that there is not, gets the default, as in Triton."""
        if 1 <= asked <= self.priority_levels:
            return asked
        return self.priority or self.priority_levels


class HeaderCheck:
    """What one model version lets in."""

    def __init__(self, card: ModelCard, version: int, max_batch_rows: int, defaults: RequestDefaults) -> None:
        self._defaults = defaults
        self._batched, self._max_rows = card.batched, max_batch_rows
        self._inputs = {spec.name: spec for spec in card.inputs}
        self._outputs = {spec.name: spec for spec in card.outputs}
        self._maps = card.maps
        self._pictures = picture_input(card)
        self._kinds = KindOfRequest(card)
        self._answers = AnswerMaker(card.name, str(version), card.labels, card.batched)
        self._every_output = AnswerForm(self._answers, tuple(WantedOutput(spec) for spec in card.outputs))

    def check(self, request: Any) -> Header:
        """The header of a ModelInferRequest; InvalidRequest tells expected and received."""
        asked = _checked(request.parameters)
        inputs = self._tensors(request.inputs)
        shapes = {tensor.name: tensor.shape for tensor in inputs}
        rows = self._rows(shapes)
        pictures = self._pictures if any(map(self._is_picture, request.inputs)) else None
        if pictures is not None:
            shapes[pictures.name] = (rows, *pictures.row_shape)
        answer = AnswerForm(self._answers, self._wanted(request.outputs)) if request.outputs else self._every_output
        maps = any(output.spec.name in self._maps for output in answer.wanted)
        timeout_s = asked["timeout"] / 1e6 if asked["timeout"] else self._defaults.timeout_s
        priority = self._defaults.level(asked["priority"])
        kind = self._kinds.of(shapes, maps=maps)
        places = tuple(output.place for output in answer.wanted if output.place)
        raw_count = sum(tensor.place is None for tensor in inputs)
        return Header(inputs, rows, kind, answer, timeout_s, priority, pictures, raw_count, places)

    def _tensors(self, received: Any) -> tuple[RawTensor, ...]:
        tensors: dict[str, RawTensor] = {}
        for tensor in received:
            if tensor.name in tensors:
                raise InvalidRequest(f"input '{tensor.name}' was sent twice")
            tensors[tensor.name] = self._tensor(tensor)
        missing = [name for name in self._inputs if name not in tensors and name != self._kinds.optional]
        if missing:
            raise InvalidRequest(f"missing input(s) {missing}: expected {list(self._inputs)}, received {list(tensors)}")
        return tuple(tensors.values())

    def _tensor(self, tensor: Any) -> RawTensor:
        spec = self._spec(tensor)
        unknown = sorted(set(tensor.parameters) - PLACE_PARAMETERS)
        if unknown:
            raise InvalidRequest(f"input '{spec.name}': parameter {unknown[0]!r} is not supported")
        place = place_of(spec.name, tensor.parameters)
        if place is not None and tensor.HasField("contents"):
            raise InvalidRequest(f"input '{spec.name}': contents and shared memory together, send one of them")
        shape = tuple(tensor.shape)
        self._check_shape(spec, shape)
        return RawTensor(spec.name, spec.datatype, shape, place)

    def _spec(self, tensor: Any) -> TensorSpec:
        """What the tensor is held against."""
        spec = self._inputs.get(tensor.name)
        if spec is None:
            raise InvalidRequest(f"unexpected input '{tensor.name}': expected {list(self._inputs)}")
        if self._pictures is not None and self._is_picture(tensor):
            return self._pictures.spec(len(tensor.shape))
        if tensor.datatype != spec.datatype:
            raise InvalidRequest(f"input '{spec.name}': expected {spec.datatype}, received '{tensor.datatype}'")
        return spec

    def _is_picture(self, tensor: Any) -> bool:
        return self._pictures is not None and tensor.name == self._pictures.name and tensor.datatype == "BYTES"

    def _check_shape(self, spec: TensorSpec, shape: tuple[int, ...]) -> None:
        if spec.admits(shape) and min(shape, default=0) >= 0:
            return
        expected, hint = spec.shape, ""
        if self._batched and len(shape) == len(expected) - 1:
            hint = f"; the batch axis is missing, send {[1, *shape]}"
        elif any(size < 0 for size in shape):
            hint = "; a request's sizes must be known, -1 is not one"
        raise InvalidRequest(f"input '{spec.name}': expected shape {list(expected)}, received {list(shape)}{hint}")

    def _rows(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        if not self._batched:
            return 1
        rows = {name: shape[0] for name, shape in shapes.items()}
        counts = set(rows.values())
        if len(counts) > 1:
            raise InvalidRequest(f"inputs differ in their batch size: {rows}")
        count = counts.pop()
        if not 1 <= count <= self._max_rows:
            raise InvalidRequest(f"expected a batch of 1 to {self._max_rows} rows, received {count}")
        return count

    def _wanted(self, received: Any) -> tuple[WantedOutput, ...]:
        wanted = tuple(self._wanted_output(output) for output in received)
        names = [output.spec.name for output in wanted]
        if len(set(names)) != len(names):
            raise InvalidRequest(f"an output was requested twice: {names}")
        return wanted

    def _wanted_output(self, output: Any) -> WantedOutput:
        spec = self._outputs.get(output.name) or self._maps.get(output.name)
        if spec is None:
            has_maps = f", and maps {list(self._maps)}" if self._maps and output.name.startswith(MAP_PREFIX) else ""
            raise InvalidRequest(f"unknown output '{output.name}': the model has {list(self._outputs)}{has_maps}")
        top = 0
        for name, parameter in output.parameters.items():
            if (
                name in PLACE_PARAMETERS or name == "binary_data"
            ):  # the latter is a REST notion that Triton's clients carry along
                continue
            if name != "classification":
                raise InvalidRequest(f"output '{spec.name}': parameter '{name}' is not supported")
            top = _integer(f"output '{spec.name}': classification", parameter, 1, _CLASSIFICATION_MAX)
        if top and (spec.datatype == "BYTES" or spec.datatype == "BOOL"):
            raise InvalidRequest(f"output '{spec.name}': classification needs numbers, it is {spec.datatype}")
        return WantedOutput(spec, top, place_of(spec.name, output.parameters))


_NUMBERS = {"timeout": 2**63 - 1, "priority": 2**64 - 1}
"""Parameter -> the largest value; 0 is the same as nothing. `timeout` is in microseconds."""


_EMPTY_FINAL = "triton_enable_empty_final_response"
"""Asks for an empty last answer where no other could say that it is the last; here each answer is."""


def _checked(parameters: Any) -> dict[str, int]:
    """The number parameters; InvalidRequest for parameters that are not known or of another type."""
    numbers = dict.fromkeys(_NUMBERS, 0)
    for name, parameter in parameters.items():
        if name in _NUMBERS:
            numbers[name] = _integer(f"parameter '{name}'", parameter, 0, _NUMBERS[name])
        elif name in ("sequence_id", "sequence_start", "sequence_end"):
            _check_stateless(name, parameter)
        elif name == _EMPTY_FINAL and parameter.WhichOneof("parameter_choice") != "bool_param":
            raise InvalidRequest(f"parameter '{name}': expected a bool_param, received {parameter}")
        elif name.startswith("triton_") and name != _EMPTY_FINAL:
            raise InvalidRequest(f"parameter '{name}': names that begin with triton_ are reserved")
    return numbers


def _check_stateless(name: str, parameter: Any) -> None:
    value = getattr(parameter, parameter.WhichOneof("parameter_choice") or "bool_param")
    if value:
        raise InvalidRequest(f"parameter '{name}': the model keeps no state between requests")


def _integer(what: str, parameter: Any, least: int, most: int) -> int:
    choice = parameter.WhichOneof("parameter_choice")
    if choice not in ("int64_param", "uint64_param"):
        raise InvalidRequest(f"{what}: expected an integer, received {choice or 'nothing'}")
    value = int(getattr(parameter, choice))
    if not least <= value <= most:
        raise InvalidRequest(f"{what}: expected {least} to {most}, received {value}")
    return value
