"""HTTP/1.1 requests out of bytes, strictly: what two servers might read in two ways is refused.

An offer to speak another protocol (`Upgrade`) is passed over, as RFC 9110, 7.8 allows: Java's HttpClient and curl offer
HTTP/2 with their first request, send its body all the same, and want it answered by a server that goes on as before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, Protocol

from fovea.serving.fronts.rest.framing import CHUNKED, BadRequest, Head, read_head, require_begun, require_headers

HEAD_MAX_BYTES = 16 * 1024
"""Of a request's line and headers; the same again for its trailers, and for what its chunks say beside their sizes."""
_LINE, _HEAD_END = b"\r\n", b"\r\n\r\n"
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})((?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?)\r\n")
_CHUNK_BEGIN = re.compile(rb"[0-9A-Fa-f]{1,15}(?:[ \t;\r]|$)")


class Listener(Protocol):
    """Who is told of a request, part by part."""

    @property
    def is_answering(self) -> bool:
        """Whether the last request has no answer yet. The next one, and whatever is wrong with it, waits its turn."""

    def on_head(self, head: Head) -> None:
        """Its head is complete."""

    def on_body(self, body: bytes) -> None:
        """A part of its body."""

    def on_message_complete(self) -> None:
        """Its body is complete."""


class Parser:
    """Tells one connection's listener of its requests. After a BadRequest it is of no more use."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._kept = bytearray()
        """What is incomplete."""
        self._state: Callable[[], bool] = self._begin
        self._left = 0
        """Bytes that are still to come of a body, or of a chunk."""
        self._extra_bytes = 0
        """Of empty lines before a head, then of its chunks beside their sizes."""
        self._last = False
        self.owed: Literal["head", "body"] | None = None
        """What the caller has begun and not ended."""
        self.is_held = False
        """There is more, which waits for an answer to what came before: to be fed, with nothing, once that is sent."""
        self._seen = Head(b"", b"", b"", [], 0, False)

    def get_method(self) -> bytes:
        """Of the last head; these four are what uvicorn asks its own parser."""
        return self._seen.method

    def get_http_version(self) -> str:
        """Of the last head."""
        return self._seen.version.decode()

    def should_keep_alive(self) -> bool:
        """Whether another request may follow."""
        return self._seen.keep_alive

    def should_upgrade(self) -> bool:
        """Never."""
        return False

    def feed_data(self, data: bytes) -> None:
        """Parse; BadRequest tells what is wrong."""
        self._kept += data
        while self._kept and self._state():
            pass

    def _count(self, size: int, what: str) -> None:
        self._extra_bytes += size
        if self._extra_bytes > HEAD_MAX_BYTES:
            raise BadRequest(f"{what} have more than {HEAD_MAX_BYTES} bytes", 431)

    def _begin(self) -> bool:
        """States take what they can, and say whether there may be more for the next one."""
        self.is_held = self._listener.is_answering
        if self.is_held:
            return False
        self.owed = "head"
        if self._kept[0] in _LINE:
            blank = len(self._kept) - len(self._kept.lstrip(_LINE))
            self._count(blank, "the empty lines before a request")
            del self._kept[:blank]
        if self._kept:
            self._state = self._head
        return bool(self._kept)

    def _head(self) -> bool:
        head = self._lines("the request's head is")
        if head is None:
            require_begun(bytes(self._kept))
            return False
        self._seen = parsed = read_head(head)
        self._last = not parsed.keep_alive
        self._extra_bytes, self._left = 0, max(parsed.body_bytes, 0)
        self._state = self._chunks if parsed.body_bytes == CHUNKED else self._body
        self.owed = "body"
        self._listener.on_head(parsed)
        if not parsed.body_bytes:
            self._end()
        return True

    def _lines(self, what: str) -> bytes | None:
        """Lines up to the empty one behind them, which is taken away with them; None while it is not here."""
        end = self._kept.find(_HEAD_END, 0, HEAD_MAX_BYTES + len(_HEAD_END))
        if end < 0:
            if len(self._kept) > HEAD_MAX_BYTES:
                raise BadRequest(f"{what} larger than {HEAD_MAX_BYTES} bytes", 431)
            return None
        lines = bytes(self._kept[: end + len(_LINE)])
        del self._kept[: end + len(_HEAD_END)]
        return lines

    def _body(self) -> bool:
        part = bytes(self._kept[: self._left])
        del self._kept[: self._left]
        self._left -= len(part)
        self._listener.on_body(part)
        if not self._left:
            self._end()
        return True

    def _chunks(self) -> bool:
        """All that is here in one go: of a body in small chunks there are thousands."""
        parts: list[bytes] = []
        at = self._take_chunks(bytes(self._kept), parts)
        del self._kept[:at]
        if parts:
            self._listener.on_body(b"".join(parts))
        return self._state != self._chunks

    def _take_chunks(self, data: bytes, parts: list[bytes]) -> int:
        """Where the first part begins that is incomplete, or the trailers."""
        at = 0
        while at < len(data):
            if not self._left:
                line = _CHUNK_LINE.match(data, at, at + HEAD_MAX_BYTES)
                if line is None:
                    self._require_incomplete(data[at:])
                    break
                at = line.end()
                self._begin_chunk(line)
                if self._state != self._chunks:
                    break
            if part := data[at : at + self._left - len(_LINE)]:
                parts.append(part)
                at, self._left = at + len(part), self._left - len(part)
            if self._left == len(_LINE):
                if len(data) - at < len(_LINE):
                    break
                if data[at : at + len(_LINE)] != _LINE:
                    raise BadRequest("a chunk is longer than its size")
                at, self._left = at + len(_LINE), 0
        return at

    def _begin_chunk(self, line: re.Match[bytes]) -> None:
        size, beside = line.groups()
        if beside:
            self._count(len(beside), "the chunks beside their sizes")
        self._left = int(size, 16) + len(_LINE)
        if self._left == len(_LINE):
            self._left, self._state = 0, self._trailers

    @staticmethod
    def _require_incomplete(line: bytes) -> None:
        """A chunk's line that is not here in whole must at least begin as one."""
        if len(line) >= HEAD_MAX_BYTES or b"\n" in line or not _CHUNK_BEGIN.match(line):
            raise BadRequest("a chunk does not begin with its size")

    def _trailers(self) -> bool:
        """They may say nothing that matters here: looked at, and left out."""
        if self._kept.startswith(_LINE):
            del self._kept[: len(_LINE)]
        elif len(self._kept) < len(_LINE):
            return False
        else:
            trailers = self._lines("the body's trailers are")
            if trailers is None:
                return False
            require_headers(trailers)
        self._end()
        return True

    def _end(self) -> None:
        self.owed, self._extra_bytes = None, 0
        self._state = self._ignored if self._last else self._begin
        self._listener.on_message_complete()

    def _ignored(self) -> bool:
        """Behind the last request, which said that it is."""
        self._kept.clear()
        return False
