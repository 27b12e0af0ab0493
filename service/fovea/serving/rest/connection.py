"""An HTTP connection with bounds: on its number, on a request's head, and on how long a caller may keep it waiting."""

from __future__ import annotations

import asyncio
import json
from asyncio.events import TimerHandle

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from fovea.serving.rest.limits import Patience
from fovea.serving.rest.parser import Parser

HEAD_MAX_BYTES = 16 * 1024
HEADER_EXTRA_BYTES = 4
"""Colon, space and line end."""


class _TooMuch(Exception):
    pass


class Connection(HttpToolsProtocol):
    """uvicorn's protocol and what it lacks: it keeps headers of any size, and waits for them, and for readers, forever.

    It overrides asyncio's and httptools' callbacks, and how a request that cannot be parsed is refused.
    """

    connections_max: int
    patience: Patience
    """Both set by `bounded_connection`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.parser = Parser(self)  # type: ignore[assignment]  # it has all that is used of httptools' own
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None
        self._unread_timer: TimerHandle | None = None
        self._refused = False
        self._refusal = (400, "this is no HTTP request")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller is here."""
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self.connections_max:
            self._tell(503, f"{self.connections_max} connections are open, which is the limit")
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        for timer in (self._head_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of the head are counted where the head ends in none of them: the parser keeps what is incomplete."""
        if self._refused:
            return
        before = self._in_head
        super().data_received(data)
        if before and self._in_head:
            self._count(len(data))
            if self._head_bytes > HEAD_MAX_BYTES and not self._refused:
                self._refuse()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        if self._head_timer is None:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        """A part of its path."""
        self._count_or_end(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._count_or_end(len(name) + len(value) + HEADER_EXTRA_BYTES)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The caller reads slower than it is answered."""
        self._unread_timer = self.loop.call_later(self.patience.unread_s, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read most of it."""
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        super().resume_writing()

    def send_400_response(self, _msg: str) -> None:
        """Refuse what the parser refused."""
        self._refuse()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.patience.head_s, self.transport.abort)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_MAX_BYTES:
            self._refusal = (431, f"the request's head is larger than {HEAD_MAX_BYTES} bytes")

    def _count_or_end(self, size: int) -> None:
        self._count(size)
        if self._head_bytes > HEAD_MAX_BYTES:
            raise _TooMuch  # out of a callback, the parser takes it for an error of the request

    def _refuse(self) -> None:
        """Say why, and read on for a while without looking."""
        self._refused = True
        self._tell(*self._refusal)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(self.patience.linger_s, self.transport.abort)
        else:
            self.transport.close()

    def _tell(self, status: int, text: str) -> None:
        body = json.dumps({"error": text}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)


def bounded_connection(connections_max: int, patience: Patience) -> type[Connection]:
    """The class of a server's connections."""
    return type("BoundedConnection", (Connection,), {"connections_max": connections_max, "patience": patience})
