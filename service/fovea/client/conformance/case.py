"""One case: what is asked of a server, what is expected of it, what came, and whether that is what was expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

NO_ANSWER = "no answer"
"""The status of what did not come in time, or never will."""
_SHOWN = 240


@dataclass(frozen=True)
class Came:
    """What a server answered."""

    status: str
    """The name of gRPC's status, HTTP's number, or NO_ANSWER."""
    text: str = ""
    """The error's text, or what else says what came."""
    value: Any = None
    """The message, the list of a stream's messages, or the `HttpAnswer`."""

    def __str__(self) -> str:
        text = " ".join(self.text.split())
        return f"{self.status}: {text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}" if text else self.status


@dataclass(frozen=True)
class Expected:
    """What is expected, in words, and whether something is that; any exception of `holds` means no."""

    words: str
    holds: Callable[[Came], bool]
    refusal: bool = False
    """Whether the server is to say no."""


@dataclass(frozen=True)
class Case:
    """A question to one front of a server."""

    front: str
    """gRPC or HTTP."""
    name: str
    asked: str
    expected: Expected
    ask: Callable[[], Came]
    extension: str = ""
    """The part of the protocol that a server may leave out; empty where the case is required."""
    lacking: str = ""
    """What the server's models lack, so that it cannot be asked."""


class Verdict(StrEnum):
    """What became of a case."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_OFFERED = "not offered"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Result:
    """A case that is done. `came` is what the server answered, or why it was not asked."""

    case: Case
    verdict: Verdict
    came: str
