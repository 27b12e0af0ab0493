"""Bodies in: bounded in size, each and all together."""

from __future__ import annotations

from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.refusal import Refusal


class Bodies:
    """Keeps the bodies of a server's requests; used on the event loop's thread only."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._held = most_bytes, 0

    def keep(self, exchange: Exchange, part: bytes) -> None:
        """A part of a body that somebody takes; Refusal where there is no room for it."""
        bound = exchange.bound
        if bound is None or exchange.is_answered:
            return
        if exchange.held_bytes + len(part) > bound.bytes:
            raise bound.exceeded()
        if self._held + len(part) > self._most:
            raise Refusal(503, f"bodies of {self._most} bytes are held, which is the limit", closes=True)
        exchange.parts.append(part)
        exchange.held_bytes += len(part)
        self._held += len(part)

    def release(self, exchange: Exchange) -> None:
        """It has been read, or nobody will."""
        self._held -= exchange.held_bytes
        exchange.held_bytes = 0
