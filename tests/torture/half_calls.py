"""Many calls on one bare connection whose message does not come, or comes by half, as fast as flow control lets it."""

from __future__ import annotations

import struct
import threading
from collections import defaultdict
from contextlib import suppress
from types import TracebackType

from tests.torture import http2

_RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 3, 4, 6, 7, 8
_HEADERS, _END_STREAM, _ACKNOWLEDGED = 1, 1, 1
_INITIAL_WINDOW = 4
_CHUNK = b"x" * 16384
_PATIENCE_S = 5.0


class HalfCalls:
    """A connection; a thread of its own reads what the server says."""

    def __init__(self, address: str) -> None:
        self._connection = http2.connect(address)
        self._connection.settimeout(None)
        self._connection.sendall(http2.OPENING)
        self._changed = threading.Condition()
        self._initial = 65535
        self._window = 65535
        self._granted: defaultdict[int, int] = defaultdict(int)
        """Stream -> bytes beyond the initial window."""
        self._ended: set[int] = set()
        self._is_over = False
        self._next = 1
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> HalfCalls:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        http2.cut(self._connection)

    def open(self, path: str, count: int = 1, sent: bytes = b"") -> None:
        """Begin calls; with `sent`, some bytes of their message."""
        frames = b""
        for _ in range(count):
            frames += http2.frame(1, 4, http2.header_block(path), self._next)
            frames += http2.frame(0, 0, sent, self._next) if sent else b""
            self._next += 2
        with suppress(OSError):
            self._connection.sendall(frames)

    def half(self, path: str, said: int, sent: int) -> bool:
        """Begin a call with a message of `said` bytes, it says, and send `sent` of them; False where it is ended."""
        stream = self._next
        self.open(path, 1, b"\0" + struct.pack(">I", said))
        self._granted[stream] -= 5
        self._window -= 5
        for _ in range(sent // len(_CHUNK)):
            if not self._may_send(stream, len(_CHUNK)):
                return False
            with suppress(OSError):
                self._connection.sendall(http2.frame(0, 0, _CHUNK, stream))
        return True

    def ended(self, count: int, within_s: float = _PATIENCE_S) -> bool:
        """Whether so many calls are ended by the server before long."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_over or len(self._ended) >= count, within_s)

    def _may_send(self, stream: int, size: int) -> bool:
        def has_room() -> bool:
            return min(self._window, self._initial + self._granted[stream]) >= size

        with self._changed:
            self._changed.wait_for(lambda: has_room() or self._is_over or stream in self._ended, _PATIENCE_S)
            if not has_room() or self._is_over or stream in self._ended:
                return False
            self._window -= size
            self._granted[stream] -= size
            return True

    def _read(self) -> None:
        data = b""
        with suppress(OSError):
            while more := self._connection.recv(1 << 16):
                data += more
                while len(data) >= 9 and len(data) >= (end := 9 + int.from_bytes(data[:3], "big")):
                    stream = struct.unpack(">I", data[5:9])[0] & 0x7FFFFFFF
                    with self._changed:
                        self._take(data[3], data[4], stream, data[9:end])
                        self._changed.notify_all()
                    data = data[end:]
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _WINDOW_UPDATE and stream:
            self._granted[stream] += struct.unpack(">I", payload)[0]
        elif kind == _WINDOW_UPDATE:
            self._window += struct.unpack(">I", payload)[0]
        elif kind in (_SETTINGS, _PING) and not flags & _ACKNOWLEDGED:
            for at in range(0, len(payload), 6) if kind == _SETTINGS else ():
                setting, value = struct.unpack(">HI", payload[at : at + 6])
                self._initial = value if setting == _INITIAL_WINDOW else self._initial
            self._connection.sendall(http2.frame(kind, _ACKNOWLEDGED, payload if kind == _PING else b"", 0))
        elif kind == _RESET or (kind == _HEADERS and flags & _END_STREAM):
            self._ended.add(stream)
        elif kind == _GOAWAY:
            self._is_over = True
