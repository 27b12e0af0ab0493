"""What people call the values that callers send."""

from __future__ import annotations

from math import isfinite
from typing import Any

WORDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bytes: "bytes",
    bool: "true or false",
    int: "an integer",
    float: "a number with a fraction",
    type(None): "nothing",
}
_BEYOND_64_BITS = 2.0**63
"""JSON's readers make floats of integers that are longer."""


def word(value: Any) -> str:
    """What people call a value of this type."""
    if isinstance(value, float) and not abs(value) < _BEYOND_64_BITS:
        return "a number beyond 64 bits" if isfinite(value) else "NaN or Infinity"
    return WORDS.get(type(value), "something else")
