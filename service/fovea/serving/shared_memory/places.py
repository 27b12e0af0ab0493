"""Where in shared memory a request says that a tensor is, or is to be put."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.plain_words import word

_REGION, _SIZE, _OFFSET = "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"
PLACE_PARAMETERS = frozenset({_REGION, _SIZE, _OFFSET})


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes of a region. Only what was asked for: the region is looked up request by request."""

    tensor: str
    region: str
    offset: int
    byte_size: int

    def __str__(self) -> str:
        where = f"{self.byte_size} bytes at {self.offset} of shared memory region '{self.region}'"
        return f"tensor '{self.tensor}', {where}"

    def parameters(self, byte_size: int) -> dict[str, Any]:
        """What an answer says of an output that was put there."""
        facts = {_REGION: self.region, _SIZE: byte_size}
        return facts | ({_OFFSET: self.offset} if self.offset else {})


def is_placed(parameters: Mapping[str, Any]) -> bool:
    """Whether a tensor's parameters say that it is in shared memory."""
    return _REGION in parameters


def place_of(tensor: str, parameters: Mapping[str, Any]) -> Place | None:
    """The place that a tensor's parameters name, None where they name none; InvalidRequest where they do not fit."""
    given = PLACE_PARAMETERS & set(parameters)
    if not given:
        return None
    missing = {_REGION, _SIZE} - given
    if missing:
        raise InvalidRequest(f"tensor '{tensor}': {sorted(given)} without '{missing.pop()}'")
    region = parameters[_REGION]
    if type(region) is not str:
        raise InvalidRequest(f"tensor '{tensor}': {_REGION} must be a text, received {word(region)}")
    offset = _count(tensor, _OFFSET, parameters[_OFFSET]) if _OFFSET in given else 0
    return Place(tensor, region, offset, _count(tensor, _SIZE, parameters[_SIZE]))


def _count(tensor: str, name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        received = value if type(value) is int else word(value)
        raise InvalidRequest(f"tensor '{tensor}': {name} must be an integer of 0 or more, received {received}")
    return value
