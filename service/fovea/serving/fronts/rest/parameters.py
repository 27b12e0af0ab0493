"""Parameters and settings in JSON: names, with a value each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.json_text import word

_TYPES = (bool, int, str)
_MOST_PARAMETERS = 16 * 1024
"""More do not fit into what a request may have beside its data, and would hold everybody up on the way there."""


def require_few(parameters: Mapping[str, Any], where: str = "") -> None:
    """InvalidRequest for more parameters than any request may have."""
    if len(parameters) > _MOST_PARAMETERS:
        raise InvalidRequest(f"{where}expected at most {_MOST_PARAMETERS} parameters, received {len(parameters)}")


def checked(name: str, value: Any, integers: range) -> bool | int | str:
    """The value of a parameter; InvalidRequest for one of another type, or for an integer that is not one of these."""
    if type(value) not in _TYPES:
        expected = "; ".join(map(word, _TYPES))
        raise InvalidRequest(f"parameter '{name}': expected {expected}, received {word(type(value))}")
    if type(value) is int and value not in integers:
        raise InvalidRequest(f"parameter '{name}': {value} is out of range")
    return value  # type: ignore[no-any-return]
