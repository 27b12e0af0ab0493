"""httptools' parser for a server that speaks HTTP/1.1 only: an offer to speak another protocol is passed over."""

from __future__ import annotations

from typing import Protocol

from httptools import HttpParserUpgrade, HttpRequestParser

_FRAMING = (b"content-length", b"transfer-encoding")
"""Headers that tell how long a body is."""


class Listener(Protocol):
    """Who is told of a request, part by part."""

    def on_message_begin(self) -> None:
        """A request begins."""

    def on_url(self, url: bytes) -> None:
        """A part of its path."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""

    def on_headers_complete(self) -> None:
        """Its head is complete."""

    def on_body(self, body: bytes) -> None:
        """A part of its body."""

    def on_message_complete(self) -> None:
        """Its body is complete."""


class Parser:
    """Takes a request with an `Upgrade` header for one without.

    httptools takes what follows its head for the other protocol. But Java's HttpClient and curl offer HTTP/2 with their
    first request, send its body all the same, and want it answered by a server that goes on as before (RFC 9110, 7.8).
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._framing: list[bytes] = []
        self._again = False
        """The head is one that has been told of."""
        self._parser = HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.get_method = self._parser.get_method
        self.get_http_version = self._parser.get_http_version
        self.should_keep_alive = self._parser.should_keep_alive

    def should_upgrade(self) -> bool:
        """Never."""
        return False

    def feed_data(self, data: bytes) -> None:
        """Parse; HttpParserError for what is no HTTP."""
        while data:
            data = self._fed(data)

    def _fed(self, data: bytes) -> bytes:
        """What is left, to be parsed as what it is: the body of a request whose head is repeated without the offer."""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as offer:
            if self._framing:
                self._again = True
                self._parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(self._framing) + b"\r\n")
            return data[offer.args[0] :]
        return b""

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._again:
            self._framing.clear()
            self._listener.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of its path."""
        if not self._again:
            self._listener.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        if not self._again:
            if name.lower() in _FRAMING:
                self._framing.append(name + b": " + value + b"\r\n")
            self._listener.on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        if not self._again:
            self._listener.on_headers_complete()
        self._again = False

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._listener.on_body(body)

    def on_message_complete(self) -> None:
        """Its body is complete, unless it is still to be read."""
        if not (self._parser.should_upgrade() and self._framing):
            self._listener.on_message_complete()
