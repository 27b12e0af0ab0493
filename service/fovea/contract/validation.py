"""What pydantic found wrong, cut down to what a person needs to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

_OF_OUR_OWN = "Value error, "
"""What pydantic writes before the text of a validator."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    field: str
    """The outermost; empty where it is the whole that does not fit together."""
    where: str
    """The field and what lies in it, with dots between."""
    what: str
    received: Any


def first_problem(error: ValidationError) -> Problem:
    """One is enough: when it is mended, the next can be told."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    what = first["msg"].removeprefix(_OF_OUR_OWN)
    return Problem(path[0] if path else "", ".".join(path), what, first["input"])
