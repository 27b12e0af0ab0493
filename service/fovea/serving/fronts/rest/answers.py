"""From the protocol's answer messages to HTTP bodies: JSON, and the binary data that may follow it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fovea.serving.fronts.rest.answer_style import AnswerStyle
from fovea.serving.fronts.rest.values import json_data, to_json
from fovea.wire import message


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent: JSON, then binary data where `json_bytes` tells how much of it is JSON."""

    data: bytes
    json_bytes: int | None = None


def infer_answer(data: bytes, style: AnswerStyle) -> Body:
    """A serialized ModelInferResponse as a body; InvalidRequest where an output's texts are no UTF-8."""
    response = message("ModelInferResponse").FromString(data)
    facts: dict[str, Any] = {"model_name": response.model_name, "model_version": response.model_version}
    if response.id:
        facts["id"] = response.id
    if response.parameters:
        facts["parameters"] = plain_map(response.parameters)
    raw, binary = iter(response.raw_output_contents), list[bytes]()
    outputs = [_output(output, raw, style, binary) for output in response.outputs]
    head = _with(facts, "outputs", b"[" + b",".join(outputs) + b"]")
    return Body(b"".join([head, *binary]), len(head) if binary else None)


def _output(output: Any, raw: Iterator[bytes], style: AnswerStyle, binary: list[bytes]) -> bytes:
    facts: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
    parameters = plain_map(output.parameters)
    sent = next(raw)
    data = None if "shared_memory_region" in parameters else sent
    if data is not None and style.is_binary(output.name):
        parameters["binary_data_size"] = len(data)
        binary.append(data)
    if parameters:
        facts["parameters"] = parameters
    if data is None or style.is_binary(output.name):
        return json_data(facts)
    return _with(facts, "data", to_json(output.name, output.datatype, facts["shape"], data))


def _with(facts: dict[str, Any], key: str, written: bytes) -> bytes:
    """The facts as JSON, and one more whose JSON is already written."""
    return json_data(facts)[:-1] + b',"' + key.encode() + b'":' + written + b"}"


def plain_map(parameters: Any) -> dict[str, Any]:
    """A map of parameters by name: each is a message of which one field is set."""
    return {name: value for name, field in parameters.items() for value in plain(field).values()}


def plain(facts: Any) -> dict[str, Any]:
    """A message as JSON's types: every field by its name, also one that is empty, unless it tells whether it is set."""
    return {
        field.name: _plain_field(field, getattr(facts, field.name))
        for field in facts.DESCRIPTOR.fields
        if not field.has_presence or facts.HasField(field.name)
    }


def _plain_field(field: Any, value: Any) -> Any:
    if field.message_type and field.message_type.GetOptions().map_entry:
        of_map = field.message_type.fields_by_name["value"]
        return {str(key): _plain_value(of_map, value[key]) for key in value}
    return [_plain_value(field, one) for one in value] if field.is_repeated else _plain_value(field, value)


def _plain_value(field: Any, value: Any) -> Any:
    if field.message_type:
        return plain(value)
    if field.enum_type:
        return field.enum_type.values_by_number[value].name
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
