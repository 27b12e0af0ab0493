"""HTTP/2 by hand, as far as callers need it who send half a call, an endless header, or nothing, and are gone."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _CONTINUATION = 0, 1, 3, 4, 9
_CANCEL = 8
_END_STREAM, _END_HEADERS = 1, 4
_INITIAL_WINDOW = 4
OPENING = _PREFACE + b"\0\0\0\4\0\0\0\0\0"
"""Preface and empty settings."""
STREAM = 1


def frame(kind: int, flags: int, payload: bytes, stream: int = STREAM) -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def opening_that_takes_nothing() -> bytes:
    """Preface, and settings by which no byte of an answer may be sent."""
    return _PREFACE + frame(_SETTINGS, 0, struct.pack(">HI", _INITIAL_WINDOW, 0), 0)


def call(path: str, message: bytes, stream: int = STREAM, more: bytes = b"") -> bytes:
    """A whole gRPC call: headers, with `more` (literals) behind, and its message in frames of 16 KB."""
    body = b"\0" + struct.pack(">I", len(message)) + message
    chunks = [body[at : at + 16384] for at in range(0, len(body), 16384)]
    frames = [frame(_DATA, _END_STREAM if chunk is chunks[-1] else 0, chunk, stream) for chunk in chunks]
    return frame(_HEADERS, _END_HEADERS, header_block(path) + more, stream) + b"".join(frames)


def reset(stream: int) -> bytes:
    """The end of a call, by its caller."""
    return frame(_RESET, 0, struct.pack(">I", _CANCEL), stream)


def header_block(path: str) -> bytes:
    """The headers of a gRPC call, none of them compressed."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "torture"}
    more = {"te": "trailers", "content-type": "application/grpc"}
    return b"".join(literal(name.encode(), value.encode()) for name, value in (fields | more).items())


def literal(name: bytes, value: bytes, indexed: bool = False) -> bytes:
    """A header in full; `indexed`: to be remembered as the newest entry of the table."""
    return (b"\x40" if indexed else b"\0") + _length(name) + name + _length(value) + value


def endless_headers(path: str, size: int) -> bytes:
    """Headers that go on for `size` bytes, in frames of 16 KB, and do not end."""
    filler = frame(_CONTINUATION, 0, literal(b"filler", b"x" * 16000))
    return frame(_HEADERS, 0, header_block(path)) + filler * (size // len(filler))


def unfolding_headers(path: str, times: int) -> bytes:
    """A header of 4,000 bytes, remembered once and then named `times` times by a byte each."""
    bomb = header_block(path) + literal(b"bomb", b"x" * 4000, indexed=True) + b"\xbe" * times
    chunks = [bomb[at : at + 16384] for at in range(0, len(bomb), 16384)]
    kinds = [_HEADERS] + [_CONTINUATION] * (len(chunks) - 1)
    flags = [0] * (len(chunks) - 1) + [_END_HEADERS]
    return b"".join(frame(*each) for each in zip(kinds, flags, chunks, strict=True))


def connect(address: str) -> socket.socket:
    """A bare connection to a server."""
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=30)


def cut(connection: socket.socket) -> None:
    """Close it at once, also for a thread that reads from it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    vanish(connection)


def vanish(connection: socket.socket) -> None:
    """Close it so that the other side gets a reset."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _length(text: bytes) -> bytes:
    """HPACK's integer of seven bits."""
    size = len(text)
    if size < 127:
        return bytes([size])
    size, groups = size - 127, [127]
    while size > 127:
        groups.append(size & 127 | 128)
        size >>= 7
    return bytes([*groups, size])
