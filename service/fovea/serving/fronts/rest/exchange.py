"""One request over HTTP and its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from fovea.contract.errors import FoveaError
from fovea.serving.fronts.rest.framing import Head, Headers
from fovea.serving.fronts.rest.handover import Handover
from fovea.serving.fronts.rest.limits import Bound
from fovea.serving.fronts.rest.refusal import Refusal


class Wire(Protocol):
    """The connection of an exchange; for its loop's thread."""

    handover: Handover

    def answer(self, exchange: Exchange, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer."""

    def refuse(self, exchange: Exchange, error: Exception) -> None:
        """Send an error."""

    def begin(self, exchange: Exchange, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of an answer that comes in pieces."""

    def send(self, exchange: Exchange, piece: bytes, final: bool) -> None:
        """Send a piece of an answer that was begun; `final` ends it."""

    def release(self, exchange: Exchange) -> None:
        """Count its body as held no more."""


class Exchange:
    """What a route is given: it takes the body once that is complete, and answers from any thread.

    The first answer counts; more do nothing, nor does one to a caller who is gone.
    """

    __slots__ = (
        *("_wire", "head", "bound", "take", "names", "stray", "parts", "held_bytes"),
        *("is_begun", "is_complete", "is_taken", "is_answered", "is_streamed", "gone", "over"),
    )

    def __init__(self, head: Head, wire: Wire) -> None:
        self.head, self._wire = head, wire
        self.bound: Bound | None = None
        """How large its body may be; a body without a bound is passed over."""
        self.take: Callable[[Exchange], None] | None = None
        """Who answers: called once the body is complete, on the loop's thread."""
        self.names: Mapping[str, str] = {}
        """What the path names: `name`, `version`."""
        self.stray: Callable[[], None] | None = None
        """Called where it is refused before it reaches a model."""
        self.parts: list[bytes] = []
        self.held_bytes = 0
        self.is_begun = self.is_complete = self.is_taken = self.is_answered = self.is_streamed = False
        self.gone = False
        """Nobody waits for an answer any more."""
        self.over = False
        """The answer has been read, but for what fits into a buffer, or the caller is gone."""

    @property
    def headers(self) -> Headers:
        """The request's headers, by names in small letters."""
        return self.head.headers

    @property
    def body(self) -> bytes:
        """The whole body, once it is complete."""
        return self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)

    def refused(self, error: Exception) -> None:
        """Count a refusal that came before any model was reached."""
        if self.stray is not None and isinstance(error, FoveaError | Refusal):
            self.stray()

    def let_go(self) -> None:
        """The body has been read, and does not count as held any more."""
        self.parts = []
        self._do(self._wire.release)

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer."""
        self._do(self._wire.answer, status, headers, body)

    def refuse(self, error: Exception) -> None:
        """Send an error; after `begin`, cut the caller off."""
        self._do(self._wire.refuse, error)

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of an answer whose pieces follow."""
        self._do(self._wire.begin, status, headers)

    def send(self, piece: bytes, *, final: bool = False) -> None:
        """Send a piece of it; with `final`, its last one."""
        self._do(self._wire.send, piece, final)

    def soon(self, act: Callable[..., None], *arguments: Any) -> None:
        """Have something done on the loop's thread."""
        self._wire.handover.do(act, *arguments)

    def _do(self, act: Callable[..., None], *arguments: Any) -> None:
        self._wire.handover.do(act, self, *arguments)
