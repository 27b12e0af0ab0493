"""The settings of traces, under the names of the protocol (TraceSetting), and what may be set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fovea.contract.errors import InvalidRequest

OFF, TIMESTAMPS = "OFF", "TIMESTAMPS"
UNLIMITED = -1
_LARGEST = 2**31 - 1
_LEAST = {"trace_rate": 1, "trace_count": UNLIMITED, "log_frequency": 0}


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Which requests are traced."""

    trace_level: str = OFF
    trace_rate: int = 1000
    """One request out of this many is traced."""
    trace_count: int = UNLIMITED
    """How many more requests are traced."""
    log_frequency: int = 0
    """So many traces go into a file, whose name ends with its number; 0: all go into one."""


def setting_value(name: str, values: Sequence[str]) -> str | int | None:
    """What a setting is set to; None: back to what holds without it. InvalidRequest where it cannot be that."""
    if name not in TraceSettings.__dataclass_fields__:
        raise InvalidRequest(f"unknown trace setting '{name}': expected {[*TraceSettings.__dataclass_fields__]}")
    if not values:
        return None
    if len(values) > 1:
        raise InvalidRequest(f"trace setting '{name}': expected one value, received {list(values)}")
    return _level(values[0]) if name == "trace_level" else _number(name, values[0])


def _level(value: str) -> str:
    if value not in (OFF, TIMESTAMPS):
        raise InvalidRequest(f"trace_level: expected {OFF} or {TIMESTAMPS}, received '{value}'")
    return value


def _number(name: str, value: str) -> int:
    least = _LEAST[name]
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and least <= int(value) <= _LARGEST):
        raise InvalidRequest(f"{name}: expected an integer of {least} to {_LARGEST}, received '{value}'")
    return int(value)
