"""Bodies in: bounded in size, each and all together."""

from __future__ import annotations

from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.refusal import Refusal

_SMALL_BYTES = 512
"""Parts of fewer are joined: each object takes 50 bytes beside its own, and a chunk may be of two."""


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
        _put(exchange.parts, part)
        exchange.held_bytes += len(part)
        self._held += len(part)

    def release(self, exchange: Exchange) -> None:
        """It has been read, or nobody will."""
        self._held -= exchange.held_bytes
        exchange.held_bytes = 0


def _put(parts: list[bytes], part: bytes) -> None:
    if parts and len(part) < _SMALL_BYTES and len(parts[-1]) < _SMALL_BYTES:
        parts[-1] += part
    else:
        parts.append(part)
