"""What a request's JSON says beside its inputs' data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.answer_style import AnswerStyle
from fovea.serving.fronts.rest.json_text import take, word
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.fronts.rest.parameters import require_few
from fovea.serving.requests.header_bound import LEAST_BOUND, LEAST_FIELD
from fovea.serving.requests.infer_request import InputTensor, RequestedOutput, RequestHeader
from fovea.serving.requests.tensor_data import MOST_AXES
from fovea.serving.shared_memory.places import is_placed

_BINARY_SIZE = "binary_data_size"


@dataclass(frozen=True, slots=True)
class HeaderRead:
    """A header out of JSON, and what there is to know of its data and of its answer."""

    header: RequestHeader
    header_bytes: int
    """Of an `InferRequest`."""
    sizes: tuple[int | None, ...]
    """Bytes of each input's binary data; None of those that have none."""
    placed: tuple[bool, ...]
    """Whether each input is in shared memory."""
    style: AnswerStyle


def read_header(model: str, version: str, facts: dict[str, Any], limits: RestLimits) -> HeaderRead:
    """From the whole JSON; InvalidRequest tells what was expected. Whatever an input's `data` is, is not looked at."""
    parameters = _parameters(facts)
    by_default = _flag(parameters, "binary_data_output")
    inputs: list[InputTensor] = []
    sizes: list[int | None] = []
    for index, one in enumerate(take(facts, "inputs", list)):
        tensor, size = _input(_object(one, f"inputs[{index}]"))
        inputs.append(tensor)
        sizes.append(size)
    outputs, as_binary = _outputs(take(facts, "outputs", list))
    header = RequestHeader(model, version, inputs, outputs, parameters)
    size = _size(header)
    return HeaderRead(
        header,
        size if size > LEAST_BOUND else 0,
        tuple(sizes),
        tuple(is_placed(tensor.parameters) for tensor in inputs),
        AnswerStyle(limits, as_binary, by_default),
    )


def _input(facts: dict[str, Any]) -> tuple[InputTensor, int | None]:
    """An input, and the size of its binary data, if it has such."""
    name = take(facts, "name", str, "input: ")
    where = f"input '{name}': "
    datatype, shape = take(facts, "datatype", str, where), _shape(facts, where)
    parameters = _parameters(facts, where)
    size = parameters.pop(_BINARY_SIZE, None)
    if size is not None and "data" in facts:
        raise InvalidRequest(f"{where}data in JSON and binary data together, send one of them")
    if size is not None and (type(size) is not int or size < 0):
        received = size if type(size) is int else word(type(size))
        raise InvalidRequest(f"{where}{_BINARY_SIZE} must be an integer of at least 0, received {received}")
    return InputTensor(name, datatype, shape, parameters), size


def _shape(facts: dict[str, Any], where: str) -> tuple[int, ...]:
    """Its rank and each size are checked first: arithmetic on a caller's integers would hold everybody up."""
    shape = take(facts, "shape", list, where)
    if len(shape) > MOST_AXES:
        raise InvalidRequest(f"{where}'shape' may have {MOST_AXES} axes, received {len(shape)}")
    for size in shape:
        if type(size) is not int or not -(2**63) <= size < 2**63:
            received = "one beyond them" if type(size) is int else word(type(size))
            raise InvalidRequest(f"{where}'shape' must be a list of integers of 64 bits, received {received}")
    return tuple(shape)


def _outputs(listed: list[Any]) -> tuple[list[RequestedOutput], dict[str, bool]]:
    """The outputs, and by name whether one is wanted as binary data, of those that say so."""
    outputs, binary = [], {}
    for index, facts in enumerate(listed):
        name = take(_object(facts, f"outputs[{index}]"), "name", str, "output: ")
        where = f"output '{name}': "
        parameters = _parameters(facts, where)
        if "binary_data" in parameters:
            binary[name] = _flag(parameters, "binary_data", where)
        outputs.append(RequestedOutput(name, parameters))
    return outputs, binary


def _parameters(facts: dict[str, Any], where: str = "") -> dict[str, Any]:
    parameters = take(facts, "parameters", dict, where)
    require_few(parameters, where)
    return parameters


def _flag(parameters: dict[str, Any], name: str, where: str = "") -> bool:
    value = parameters.pop(name, False)
    if type(value) is not bool:
        raise InvalidRequest(f"{where}parameter '{name}' must be true or false, received {word(type(value))}")
    return value


def _object(facts: Any, where: str) -> dict[str, Any]:
    if type(facts) is not dict:
        raise InvalidRequest(f"{where} must be an object, received {word(type(facts))}")
    return facts


def _size(header: RequestHeader) -> int:
    """What a request has beside its data, about as gRPC would count it."""
    named: list[InputTensor | RequestedOutput] = [*header.inputs, *header.outputs]
    every = [header.parameters, *(one.parameters for one in named)]
    fields = len(named) + sum(map(len, every)) + sum(len(tensor.shape) for tensor in header.inputs)
    texts = sum(len(one.name) for one in named) + sum(len(name) for parameters in every for name in parameters)
    return LEAST_FIELD * fields + texts
