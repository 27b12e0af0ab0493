"""From an HTTP body to the protocol's request messages: JSON, and the binary data that may follow it."""

from __future__ import annotations

from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.answer_style import AnswerStyle
from fovea.serving.fronts.rest.json_text import parse_object, take, word
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.fronts.rest.parameters import sendable, set_parameters
from fovea.serving.fronts.rest.values import fill
from fovea.serving.messages.request_parameters import OUTPUT_PARAMETERS, is_request_parameter
from fovea.serving.messages.tensors import MOST_AXES, from_contents, to_raw
from fovea.serving.shared_memory.places import PLACE_PARAMETERS
from fovea.wire import message

_BINARY_SIZE = "binary_data_size"


def infer_request(
    model: str, version: str, body: bytes, json_bytes: int | None, limits: RestLimits
) -> tuple[Any, AnswerStyle]:
    """A ModelInferRequest from a body whose first `json_bytes` are JSON (None: all of it), and its answer's style."""
    facts, data = _split(body, json_bytes)
    request = message("ModelInferRequest")(model_name=model, model_version=version, id=take(facts, "id", str))
    parameters = take(facts, "parameters", dict)
    by_default = _flag(parameters, "binary_data_output")
    set_parameters(request.parameters, sendable(parameters, is_request_parameter))
    raw = _add_inputs(request, take(facts, "inputs", list), data)
    if any(part is not None for part in raw):
        _make_all_raw(request, raw)
    return request, AnswerStyle(limits, _add_outputs(request, take(facts, "outputs", list)), by_default)


def _split(body: bytes, json_bytes: int | None) -> tuple[dict[str, Any], memoryview]:
    if json_bytes is None:
        return parse_object(body), memoryview(b"")
    if json_bytes > len(body):
        raise InvalidRequest(f"expected {json_bytes} bytes of JSON, received a body of {len(body)} bytes")
    return parse_object(body[:json_bytes]), memoryview(body)[json_bytes:]


def _add_inputs(request: Any, inputs: list[Any], data: memoryview) -> list[memoryview | None]:
    """The inputs into the message; returned is the binary data of each, None of those that have none."""
    parts, at = [], 0
    for index, facts in enumerate(inputs):
        size = _add_input(request.inputs, _object(facts, f"inputs[{index}]"), len(data) - at)
        parts.append(None if size is None else data[at : at + size])
        at += size or 0
    if at != len(data):
        raise InvalidRequest(f"expected {at} bytes of binary data after the JSON, received {len(data)}")
    return parts


def _add_input(inputs: Any, facts: dict[str, Any], data_left: int) -> int | None:
    name = take(facts, "name", str, "input: ")
    where = f"input '{name}': "
    tensor = inputs.add(name=name, datatype=take(facts, "datatype", str, where), shape=_shape(facts, where))
    parameters = take(facts, "parameters", dict, where)
    if "data" in facts and parameters.get(_BINARY_SIZE) is not None:
        raise InvalidRequest(f"{where}data in JSON and binary data together, send one of them")
    size = _binary_size(parameters, where, data_left)
    set_parameters(tensor.parameters, sendable(parameters, PLACE_PARAMETERS.__contains__), where)
    if "data" in facts:
        fill(tensor, facts["data"])
    return size


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


def _shape(facts: dict[str, Any], where: str) -> list[int]:
    """Its rank and each size are checked first: arithmetic on a caller's integers would hold everybody up."""
    shape = take(facts, "shape", list, where)
    if len(shape) > MOST_AXES:
        raise InvalidRequest(f"{where}'shape' may have {MOST_AXES} axes, received {len(shape)}")
    for size in shape:
        if type(size) is not int or not -(2**63) <= size < 2**63:
            received = "one beyond them" if type(size) is int else word(type(size))
            raise InvalidRequest(f"{where}'shape' must be a list of integers of 64 bits, received {received}")
    return shape


def _make_all_raw(request: Any, parts: list[memoryview | None]) -> None:
    """The protocol takes one form for all inputs: with binary data beside them, those in JSON become raw too."""
    for tensor, part in zip(request.inputs, parts, strict=True):
        if part is not None:
            request.raw_input_contents.append(bytes(part))
        elif tensor.HasField("contents"):
            (values,) = [values for _, values in tensor.contents.ListFields()] or [[]]
            array = from_contents(tensor.name, tensor.datatype, (len(values),), tensor.contents)
            tensor.ClearField("contents")
            request.raw_input_contents.append(to_raw(array))


def _add_outputs(request: Any, outputs: list[Any]) -> dict[str, bool]:
    binary = {}
    for index, facts in enumerate(outputs):
        name = take(_object(facts, f"outputs[{index}]"), "name", str, "output: ")
        where = f"output '{name}': "
        output = request.outputs.add(name=name)
        parameters = take(facts, "parameters", dict, where)
        if "binary_data" in parameters:
            binary[name] = _flag(parameters, "binary_data", where)
        set_parameters(output.parameters, sendable(parameters, OUTPUT_PARAMETERS.__contains__), where)
    return binary


def _flag(parameters: dict[str, Any], name: str, where: str = "") -> bool:
    value = parameters.pop(name, False)
    if type(value) is not bool:
        raise InvalidRequest(f"{where}parameter '{name}' must be true or false, received {word(type(value))}")
    return value


def _object(facts: Any, where: str) -> dict[str, Any]:
    if type(facts) is not dict:
        raise InvalidRequest(f"{where} must be an object, received {word(type(facts))}")
    return facts
