"""HTTP/1.1 requests out of bytes: llhttp's parser, strict, and bounds on what comes beside the bodies."""

from __future__ import annotations

from typing import Literal, Protocol

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from fovea.serving.fronts.rest.framing import CHUNKED, Head, Headers, add_header, checked_head
from fovea.serving.fronts.rest.refusal import Refusal, unreadable

HEAD_MAX_BYTES = 16 * 1024
"""Of a request's line and headers; the same again for its trailers and what its chunks say beside their sizes."""
PART_MAX_BYTES = HEAD_MAX_BYTES
"""Of what is fed at once: so much is looked at of requests that have to wait their turn."""
_CHUNK_MARKS_BYTES = 12
"""Around a chunk, which are not counted: its size and two line ends."""
_HEADER_MARKS_BYTES = len(": \r\n")
_FRAMING = ("content-length", "transfer-encoding")


class Listener(Protocol):
    """Who is told of requests, part by part. What it raises ends the parsing."""

    def on_head(self, head: Head) -> None:
        """A request's head is complete."""

    def on_body(self, part: bytes) -> None:
        """A part of its body."""

    def on_end(self) -> None:
        """Its body is complete."""


class Parser:
    """Tells one connection's listener of its requests. After a Refusal it is of no more use."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._llhttp = HttpRequestParser(self)
        self._target, self._headers = b"", Headers()
        self._beside = 0
        """Bytes that have come for a request and are no part of its body, nor of a head in front of chunks."""
        self._head_bytes = 0
        self._in_head = self._in_body = self._declining = self._last = self._ended = False

    @property
    def owed(self) -> Literal["head", "body"] | None:
        """What the caller has begun and not ended."""
        if self._in_body:
            return "body"
        return "head" if (self._in_head or self._beside) and not self._ended else None

    def feed(self, part: bytes | memoryview) -> None:
        """Parse PART_MAX_BYTES at most; Refusal tells what is wrong. What follows the last request is passed over."""
        if not self._ended:
            self._beside += len(part)
            self._parse(part)
            if self._beside > HEAD_MAX_BYTES and not self._ended:
                raise _too_large()

    def _parse(self, part: bytes | memoryview) -> None:
        try:
            self._llhttp.feed_data(part)
        except HttpParserUpgrade as offer:
            self._decline(bytes(part[offer.args[0] :]))
        except HttpParserCallbackError as error:
            if not self._ended:
                raise error.__context__ or error from None
        except HttpParserError as error:
            if not self._ended:
                raise _refusal(str(error)) from error

    def _decline(self, rest: bytes) -> None:
        """An offer to speak another protocol (`Upgrade`) is passed over, as RFC 9110, 7.8 allows.

        Java's HttpClient and curl offer HTTP/2 with their first request, send its body all the same, and want it
        answered by a server that goes on as before. llhttp takes what follows the head for the other protocol's: so
        another parser is given a head without an offer, and then the rest.
        """
        lines = "".join(f"{name}: {self._headers[name]}\r\n" for name in _FRAMING if name in self._headers)
        self._llhttp, self._declining = HttpRequestParser(self), True
        self._parse(f"POST / HTTP/1.1\r\nhost: h\r\n{lines}\r\n".encode())
        self._declining = False
        if rest:
            self._parse(rest)

    def on_message_begin(self) -> None:
        """A request begins. This is llhttp's callback, as those that follow."""
        if self._ended:
            raise unreadable("nothing may follow the last request")
        if not self._declining:
            self._in_head, self._head_bytes, self._target, self._headers = True, 0, b"", {}

    def on_url(self, part: bytes) -> None:
        """Its target, or a part of it."""
        if self._in_head:
            self._target += part
            self._head_bytes += len(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Trailers may say nothing that matters here, and are left out."""
        if self._in_head:
            self._head_bytes += len(name) + len(value) + _HEADER_MARKS_BYTES
            add_header(self._headers, name, value)

    def on_headers_complete(self) -> None:
        if not self._in_head:
            return
        if self._head_bytes > HEAD_MAX_BYTES:
            raise _too_large()
        llhttp = self._llhttp
        head = checked_head(llhttp.get_method(), self._target, llhttp.get_http_version(), self._headers)
        if head.body_bytes == CHUNKED:
            self._beside = max(self._beside - self._head_bytes, 0)
        self._in_head, self._in_body, self._last = False, True, not head.keep_alive
        self._listener.on_head(head)

    def on_chunk_header(self) -> None:
        self._beside = max(self._beside - _CHUNK_MARKS_BYTES, 0)

    def on_body(self, part: bytes) -> None:
        """A part of its body."""
        self._beside -= len(part)
        self._listener.on_body(part)

    def on_message_complete(self) -> None:
        """Its body is complete, unless llhttp takes it for another protocol's."""
        if not self._llhttp.should_upgrade():
            self._beside, self._in_body, self._ended = 0, False, self._last
            self._listener.on_end()


def _too_large() -> Refusal:
    return unreadable(f"the headers, the trailers or the chunks' extensions have more than {HEAD_MAX_BYTES} bytes", 431)


def _refusal(reason: str) -> Refusal:
    """The refusal that llhttp's reason stands for."""
    status = 505 if "HTTP/2" in reason or "HTTP version" in reason else 400
    return unreadable(f"this is no HTTP request that can be read: {reason}", status)
