"""Parameters between messages, of which one field is set, and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fovea.wire import message

_InferParameter = message("InferParameter")


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Name -> true or false, a number or a text; None where no field is set."""
    return {name: _value(parameter) for name, parameter in parameters.items()}


def _value(parameter: Any) -> Any:
    choice = parameter.WhichOneof("parameter_choice")
    return None if choice is None else getattr(parameter, choice)


def message_of(value: str | int) -> Any:
    return _InferParameter(string_param=value) if isinstance(value, str) else _InferParameter(int64_param=value)
