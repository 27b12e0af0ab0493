"""Connections that send frames which mean nothing, as fast as they are taken: HTTP/2 bounds them by no window."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from tests.servers import RunningServer
from tests.torture import http2
from tests.torture.neighbours import answers_right

_SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 4, 6, 7, 8
_TABLE_SIZE, _ACKNOWLEDGED = 1, 1
_FRAMES = 2000
_GOODBYE = http2.frame(_GOAWAY, 0, struct.pack(">II", 0, 0), 0)
KINDS = {
    "sizes of the header table": b"".join(
        http2.frame(_SETTINGS, 0, struct.pack(">HI", _TABLE_SIZE, size), 0) for size in (0, 65536)
    ),
    "settings that set nothing": http2.frame(_SETTINGS, 0, b"", 0),
    "a window that grows by a byte": http2.frame(_WINDOW_UPDATE, 0, struct.pack(">I", 1), 0),
    "answers to pings that nobody sent": http2.frame(_PING, _ACKNOWLEDGED, b"no ping!", 0),
    "pings after a good-bye": _GOODBYE + http2.frame(_PING, 0, b"are you?", 0),
}


@contextmanager
def flooded(address: str, frames: bytes) -> Iterator[None]:
    """A connection of its own sends these over and over meanwhile; what comes back is thrown away."""
    with http2.connect(address) as connection:
        connection.settimeout(None)
        connection.sendall(http2.OPENING)
        over = threading.Event()

        def send() -> None:
            with suppress(OSError):
                while not over.is_set():
                    connection.sendall(frames * _FRAMES)

        def receive() -> None:
            with suppress(OSError):
                while connection.recv(1 << 16):
                    pass

        threads = [threading.Thread(target=act) for act in (send, receive)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            http2.cut(connection)
            for thread in threads:
                thread.join()


def frame_floods(server: RunningServer) -> tuple[Mapping[str, float | str], list[str]]:
    """Neighbours are answered while each of them goes on."""
    complaints = []
    for what, frames in KINDS.items():
        with flooded(server.grpc, frames):
            answers = answers_right(server, what)
        complaints += [] if answers.kept else [answers.found]
    return {"kinds of frames that flooded": len(KINDS)}, complaints
