"""From an HTTP body to an `InferRequest`: JSON, and the binary data that may follow it."""

from __future__ import annotations

from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.answer_style import AnswerStyle
from fovea.serving.fronts.rest.json_text import parse_object, take, word
from fovea.serving.fronts.rest.json_values import JsonValues
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.fronts.rest.parameters import require_few
from fovea.serving.requests.header_bound import LEAST_BOUND, LEAST_FIELD
from fovea.serving.requests.infer_request import InferRequest, InputTensor, RequestedOutput, RequestHeader, Values
from fovea.serving.requests.tensor_data import MOST_AXES
from fovea.serving.shared_memory.places import is_placed

_BINARY_SIZE = "binary_data_size"

Data = bytes | Values | None


def infer_request(
    model: str, version: str, body: bytes, json_bytes: int | None, limits: RestLimits
) -> tuple[InferRequest, AnswerStyle]:
    """A request from a body whose first `json_bytes` are JSON (None: all of it), and its answer's style."""
    facts, binary = _split(body, json_bytes)
    parameters = _parameters(facts)
    by_default = _flag(parameters, "binary_data_output")
    inputs, data = _inputs(take(facts, "inputs", list), binary)
    outputs, as_binary = _outputs(take(facts, "outputs", list))
    style = AnswerStyle(limits, as_binary, by_default)
    header = RequestHeader(model, version, inputs, outputs, parameters)
    return (
        InferRequest(
            header,
            data,
            take(facts, "id", str),
            bytes=len(body),
            header_bytes=_size(header) if len(body) - len(binary) > LEAST_BOUND else 0,
            has_values=not all(isinstance(one, bytes) for one in data),
            admits=style.admit,
        ),
        style,
    )


def _split(body: bytes, json_bytes: int | None) -> tuple[dict[str, Any], memoryview]:
    if json_bytes is None:
        return parse_object(body), memoryview(b"")
    if json_bytes > len(body):
        raise InvalidRequest(f"expected {json_bytes} bytes of JSON, received a body of {len(body)} bytes")
    return parse_object(body[:json_bytes]), memoryview(body)[json_bytes:]


def _inputs(listed: list[Any], binary: memoryview) -> tuple[list[InputTensor], list[Data]]:
    """The inputs, and the data of each that is not in shared memory."""
    inputs: list[InputTensor] = []
    data: list[Data] = []
    at = 0
    for index, facts in enumerate(listed):
        tensor, size, values = _input(_object(facts, f"inputs[{index}]"), len(binary) - at)
        inputs.append(tensor)
        if size is not None:
            data.append(bytes(binary[at : at + size]))
            at += size
        elif values is not None or not is_placed(tensor.parameters):
            data.append(values)
    if at != len(binary):
        raise InvalidRequest(f"expected {at} bytes of binary data after the JSON, received {len(binary)}")
    return inputs, data


def _input(facts: dict[str, Any], data_left: int) -> tuple[InputTensor, int | None, Values | None]:
    """An input, the size of its binary data and its values in JSON, as far as it has such."""
    name = take(facts, "name", str, "input: ")
    where = f"input '{name}': "
    datatype, shape = take(facts, "datatype", str, where), _shape(facts, where)
    parameters = _parameters(facts, where)
    if "data" in facts and parameters.get(_BINARY_SIZE) is not None:
        raise InvalidRequest(f"{where}data in JSON and binary data together, send one of them")
    size = _binary_size(parameters, where, data_left)
    values = JsonValues(facts["data"]) if "data" in facts else None
    return InputTensor(name, datatype, shape, parameters), size, values


def _binary_size(parameters: dict[str, Any], where: str, data_left: int) -> int | None:
    size = parameters.pop(_BINARY_SIZE, None)
    if size is None:
        return None
    if type(size) is not int or size < 0:
        received = size if type(size) is int else word(type(size))
        raise InvalidRequest(f"{where}{_BINARY_SIZE} must be an integer of at least 0, received {received}")
    if size > data_left:
        raise InvalidRequest(f"{where}expected {size} bytes of binary data after the JSON, received {data_left}")
    return size


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
