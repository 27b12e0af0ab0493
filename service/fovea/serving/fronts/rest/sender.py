"""The writing half of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.fronts.rest.refusal import Refusal
from fovea.serving.fronts.rest.responses import JSON, LAST_PIECE, error_body, head_of, piece_of
from fovea.serving.fronts.rest.timer import Timer

_SMALL_BYTES = 64 * 1024
"""To copy so much behind its head takes less than a second call to the system."""
_CHUNKED = "transfer-encoding: chunked\r\n"


class Sender:
    """Writes answers, one after another, and cuts off who does not read them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, limits: RestLimits) -> None:
        self._transport, self._limits = transport, limits
        self._timer = Timer(loop, transport.abort)
        self.is_unread = False
        """Not all that was written has left this machine."""
        self.unread: Exchange | None = None
        """The exchange whose answer has been written and not read yet."""
        if transport.get_extra_info("sslcontext") is None:  # TLS counts what is unread, and has a last word of its own
            transport.set_write_buffer_limits(0)

    def pause(self) -> None:
        """The caller does not read, or reads slowly."""
        self.is_unread = True
        self._timer.set(self._limits.patience.unread_s)

    def resume(self) -> None:
        """The caller has read everything that was written."""
        self.is_unread = False
        self._timer.stop()
        if self.unread is not None:
            self.unread.over, self.unread = True, None

    def close(self) -> None:
        """Stop the timer of a connection that is gone."""
        self._timer.close()

    def write(self, data: bytes) -> None:
        """Write something that is no answer, so that nobody waits for its being read."""
        self._transport.write(data)

    def refuse(self, refusal: Refusal) -> None:
        """The answer to what is no request."""
        body = error_body(refusal.text)
        self.write(head_of(refusal.status, JSON, f"content-length: {len(body)}\r\n", last=True) + body)

    def abort(self, exchange: Exchange) -> None:
        """Cut off in the middle of an answer."""
        exchange.is_answered = exchange.gone = True
        self._transport.abort()

    def answer(self, exchange: Exchange, status: int, headers: Mapping[str, str], body: bytes, *, last: bool) -> None:
        """Write a whole answer."""
        head = head_of(status, headers, f"content-length: {len(body)}\r\n", last=last)
        if exchange.head.method == "HEAD":
            self._transport.write(head)
        elif len(body) <= _SMALL_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        self._end(exchange)

    def begin(self, exchange: Exchange, status: int, headers: Mapping[str, str], *, last: bool) -> None:
        """The head of an answer in pieces. A caller who knows no chunks sees its end by the connection's."""
        self._transport.write(head_of(status, headers, _CHUNKED if _takes_chunks(exchange) else "", last=last))

    def send(self, exchange: Exchange, piece: bytes, *, final: bool) -> None:
        """A piece; who leaves too much of them unread is cut off."""
        self._transport.write(piece_of(piece) if _takes_chunks(exchange) else piece)
        if final:
            if _takes_chunks(exchange):
                self._transport.write(LAST_PIECE)
            self._end(exchange)
        elif self._transport.get_write_buffer_size() > self._limits.body_bytes:
            self.abort(exchange)

    def _end(self, exchange: Exchange) -> None:
        exchange.is_answered = exchange.gone = True
        if self.is_unread:
            self.unread = exchange
        else:
            exchange.over = True


def _takes_chunks(exchange: Exchange) -> bool:
    return exchange.head.version == "1.1"
