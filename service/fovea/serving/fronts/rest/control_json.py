"""The control RPCs' answers in JSON."""

from __future__ import annotations

from typing import Any


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
