"""What pydantic found wrong, cut down to what a person needs to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

_SHORT, _LARGE = 60, 1 << 64


@dataclass(frozen=True)
class Problem:
    """The first thing that pydantic found wrong."""

    field: str
    """The outermost; empty where it is the whole that does not fit together."""
    where: str
    """The field and what lies in it, with dots between."""
    what: str
    received: Any

    @property
    def told(self) -> str:
        """What is wrong, and what was found, where that is a short value."""
        return f"{self.what}, found {self.received!r}" if _is_short(self.received) else self.what


def first_problem(error: ValidationError) -> Problem:
    """One is enough: when it is mended, the next can be told. Where a field may be of several kinds, each kind has
    its own complaint: the one that lies deepest is told, since that kind was meant.
    """
    found = error.errors()
    first = max((one for one in found if one["loc"][:1] == found[0]["loc"][:1]), key=lambda one: len(one["loc"]))
    path = [str(part) for part in first["loc"] if _is_of_the_data(part)]
    return Problem(path[0] if path else "", ".".join(path), first["msg"].removeprefix("Value error, "), first["input"])


def _is_short(value: object) -> bool:
    if isinstance(value, int | float):
        return abs(value) < _LARGE  # of thousands of digits Python makes no text
    return isinstance(value, str) and len(value) <= _SHORT


def _is_of_the_data(part: int | str) -> bool:
    """False of a kind's name, such as `tuple[int, ...]`."""
    return isinstance(part, int) or "[" not in part
