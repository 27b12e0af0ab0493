"""From the protocol's answer messages to HTTP bodies: JSON, and the binary data that may follow it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fovea.serving.rest.requests import AnswerStyle
from fovea.serving.rest.values import to_json
from fovea.wire import message


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent: JSON, then binary data where `json_bytes` tells how much of it is JSON."""

    data: bytes
    json_bytes: int | None = None


def json_data(value: Any) -> bytes:
    """Strict JSON in UTF-8; ValueError for what is none."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def infer_answer(data: bytes, style: AnswerStyle) -> Body:
    """A serialized ModelInferResponse as a body; InvalidRequest where an output has no form in JSON."""
    response = message("ModelInferResponse").FromString(data)
    raw, binary = iter(response.raw_output_contents), list[bytes]()
    facts: dict[str, Any] = {"model_name": response.model_name, "model_version": response.model_version}
    if response.id:
        facts["id"] = response.id
    if response.parameters:
        facts["parameters"] = plain_map(response.parameters)
    facts["outputs"] = [_output(output, raw, style, binary) for output in response.outputs]
    head = json_data(facts)
    return Body(b"".join([head, *binary]), len(head) if binary else None)


def _output(output: Any, raw: Iterator[bytes], style: AnswerStyle, binary: list[bytes]) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
    parameters = plain_map(output.parameters)
    if "shared_memory_region" not in parameters:
        data = next(raw)
        if style.is_binary(output.name):
            parameters["binary_data_size"] = len(data)
            binary.append(data)
        else:
            facts["data"] = to_json(output.name, output.datatype, facts["shape"], data)
    return {**facts, "parameters": parameters} if parameters else facts


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
