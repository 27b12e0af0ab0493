"""The parameters of requests, and of the outputs that they ask for: one table of what each may be.

Parameters that are not known here change nothing, whatever they hold: kserve's and mlserver's clients leave theirs on
requests, inputs and outputs. Only those of a request that begin with `triton_` are refused, since they are reserved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.plain_words import word
from fovea.serving.requests.infer_request import Parameters

_TIMEOUT, _PRIORITY, _CLASSIFICATION = "timeout", "priority", "classification"
_TIMEOUT_MAX_US = 2**63 - 1
_PRIORITY_MAX = 2**64 - 1
_CLASSIFICATION_MAX = 2**31
_LARGEST_SHOWN = 2**64
_RESERVED = "triton_"


@dataclass(frozen=True, slots=True)
class RequestDefaults:
    """What holds for requests that do not say it themselves."""

    timeout_s: float | None = None
    priority_levels: int = 0
    """0: priorities mean nothing."""
    priority: int = 0
    """0: the last level."""

    def level(self, asked: int) -> int:
        """Of a request that asks for a priority; 0, or one that there is not, gets the default, as in Triton."""
        if 1 <= asked <= self.priority_levels:
            return asked
        return self.priority or self.priority_levels


def urgency(parameters: Parameters, defaults: RequestDefaults) -> tuple[float | None, int]:
    """How long a request may wait, in seconds, and its level; InvalidRequest where a parameter is not as it must be."""
    asked = {name: CHECKS.get(name, _any_other)(name, value) for name, value in parameters.items()}
    timeout_us = asked.get(_TIMEOUT, 0)  # 0 is the same as nothing, of both
    return timeout_us / 1e6 if timeout_us else defaults.timeout_s, defaults.level(asked.get(_PRIORITY, 0))


def classes_wanted(what: str, parameters: Parameters) -> int:
    """Of how many classes an output is to tell, 0 for the output as it is; InvalidRequest for what is no number."""
    if _CLASSIFICATION not in parameters:
        return 0
    return _integer(f"{what}: {_CLASSIFICATION}", parameters[_CLASSIFICATION], 1, _CLASSIFICATION_MAX)


def _number(name: str, value: Any, most: int) -> int:
    return _integer(f"parameter '{name}'", value, 0, most)


def _stateless(name: str, value: Any) -> int:
    if value:
        raise InvalidRequest(f"parameter '{name}': the model keeps no state between requests")
    return 0


def _flag(name: str, value: Any) -> int:
    if type(value) is not bool:
        raise InvalidRequest(f"parameter '{name}': expected true or false, received {word(value)}")
    return 0


def _any_other(name: str, _value: Any) -> int:
    if name.startswith(_RESERVED):
        raise InvalidRequest(f"parameter '{name}': names that begin with {_RESERVED} are reserved")
    return 0


def _integer(what: str, value: Any, least: int, most: int) -> int:
    if type(value) is not int:
        raise InvalidRequest(f"{what}: expected an integer, received {word(value)}")
    if not least <= value <= most:
        received = value if abs(value) < _LARGEST_SHOWN else "a number beyond 64 bits"
        raise InvalidRequest(f"{what}: expected {least} to {most}, received {received}")
    return value


CHECKS: dict[str, Callable[[str, Any], int]] = {
    _TIMEOUT: partial(_number, most=_TIMEOUT_MAX_US),
    _PRIORITY: partial(_number, most=_PRIORITY_MAX),
    "sequence_id": _stateless,
    "sequence_start": _stateless,
    "sequence_end": _stateless,
    "triton_enable_empty_final_response": _flag,  # wanted where no answer is known to be the last; here each is
}
"""Parameter -> from name and value to the number that it asks for, 0 where that is none, or InvalidRequest."""
