"""An HTTP connection with bounds: on its number, and on how long a caller may keep it waiting."""

from __future__ import annotations

import asyncio
import json
from asyncio.events import TimerHandle

from httptools import HttpParserError
from starlette.requests import Request
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from fovea.serving.fronts.rest.framing import BadRequest, Head
from fovea.serving.fronts.rest.limits import Patience
from fovea.serving.fronts.rest.parser import Parser


class Connection(HttpToolsProtocol):
    """uvicorn's protocol and what it lacks: a strict parser, and an end to waiting for callers and for readers.

    It overrides asyncio's callbacks, and makes of its parser's those that httptools would have made.
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
        self.parser: Parser = Parser(self)  # type: ignore[assignment]  # it has all that is used of httptools' own
        self._patience: dict[str, TimerHandle] = {}
        """With what the caller owes: its head or its body."""
        self._unread: TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller is here."""
        super().connection_made(transport)
        if self.scheme == "http":  # else TLS counts what is unread, and has a limit of its own for its last word
            transport.set_write_buffer_limits(0)
        self._await("head")
        if len(self.connections) > self.connections_max:
            self._tell(503, f"{self.connections_max} connections are open, which is the limit")
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._got("head", "body")
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of its requests."""
        if self._refused:
            return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except BadRequest as error:
            self._refuse(error.status, error.text)
        except HttpParserError:  # uvicorn has its URLs taken apart by httptools
            self._refuse(400, "the request's path cannot be read")
        if self.parser.owed is not None:  # looked at here: most requests come whole
            self._await(self.parser.owed)
        if self.parser.is_held:
            self.flow.pause_reading()

    def _await(self, part: str) -> None:
        """Who reads a body tells a caller that its time is over; this is for one that nobody reads."""
        if part not in self._patience:
            patience = self.patience
            patience_s = patience.head_s if part == "head" else patience.body_s + patience.linger_s
            self._patience[part] = self.loop.call_later(patience_s, self._lose_patience, part)

    def _lose_patience(self, part: str) -> None:
        self._got(part)
        if part == "body" and self.flow.read_paused:  # by this side, which has not got round to it
            self._await(part)
        else:
            self.transport.abort()

    def _got(self, *parts: str) -> None:
        for part in parts:
            if timer := self._patience.pop(part, None):
                timer.cancel()

    @property
    def is_answering(self) -> bool:
        """Whether the last request has no answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def on_response_complete(self) -> None:
        """An answer has been sent, and the next request may be looked at."""
        super().on_response_complete()
        if not self.transport.is_closing() and self.parser.is_held:
            self._parse(b"")

    def on_head(self, head: Head) -> None:
        """A request's head."""
        self._got("head")
        self.on_message_begin()
        self.url = head.target
        for name, value in head.headers:
            self.on_header(name, value)
        self.expect_100_continue &= head.version == b"1.1"  # an older caller would take it for the answer
        self.on_headers_complete()

    def on_message_complete(self) -> None:
        """Its body is complete; it may have been answered before."""
        self._got("body")
        super().on_message_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def pause_writing(self) -> None:
        """Not all that was written has left this machine: the caller does not read, or reads slowly."""
        self._unread = self.loop.call_later(self.patience.unread_s, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has."""
        if self._unread is not None:
            self._unread.cancel()
        super().resume_writing()

    def _refuse(self, status: int, text: str) -> None:
        """Say why, and read on for a while without looking."""
        self._refused = True
        self._tell(status, text)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(self.patience.linger_s, self.transport.abort)
        else:
            self.transport.close()

    def _tell(self, status: int, text: str) -> None:
        body = json.dumps({"error": text}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)


def is_whole(request: Request) -> bool:
    """Whether a request's body has come, as most have by the time that somebody looks."""
    return getattr(getattr(request.receive, "__self__", None), "more_body", True) is False


def bounded_connection(connections_max: int, patience: Patience) -> type[Connection]:
    """The class of a server's connections."""
    return type("BoundedConnection", (Connection,), {"connections_max": connections_max, "patience": patience})
