"""Callers that hold on to what they have: an answer that they do not read, a connection that they do not use."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import numpy as np
from tests.servers import RunningServer, infer_request
from tests.torture import http2
from tests.torture.models import WIDE
from tests.torture.neighbours import answers_right
from tests.torture.watch import census, gauge, settles

from fovea import wire

_READERS = 50
_HTTP_IDLE = 300
"""Of 512 that a server has room for."""


def slow_readers(server: RunningServer) -> tuple[Mapping[str, float | str], list[str]]:
    """Each asks for half a megabyte and takes not a byte of it; half of them over HTTP."""
    request = infer_request(WIDE, np.ones((1, 1), np.float32))
    with ExitStack() as held:
        before = gauge(server, "fovea_requests_total", model=WIDE, outcome="ok")
        for _ in range(_READERS):
            reader = held.enter_context(http2.connect(server.grpc))
            reader.sendall(http2.opening_that_takes_nothing() + http2.call(wire.path("ModelInfer"), request))
            held.enter_context(_http(server)).sendall(_asked_over_http())
        ran = settles(lambda: gauge(server, "fovea_requests_total", model=WIDE, outcome="ok") >= before + 2 * _READERS)
        answers = answers_right(server, "slow readers")
        memory = census(server).resident_mb
    complaints = [] if answers.kept else [answers.found]
    complaints += [] if ran else ["their requests did not all run"]
    return {"slow readers": 2 * _READERS, "memory while they hold, MB": memory}, complaints


def _asked_over_http() -> bytes:
    body = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}'
    head = f"POST /v2/models/{WIDE}/infer HTTP/1.1\r\nHost: torture\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _http(server: RunningServer) -> socket.socket:
    """A connection that takes little in."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    address = urlsplit(server.http)
    connection.connect((address.hostname, address.port))
    return connection


def idle_connections(server: RunningServer, count: int) -> tuple[Mapping[str, float | str], list[str]]:
    """Connections that are opened and say nothing after their first words; some over HTTP, not even those."""
    open_already = census(server).descriptors
    complaints = []
    with ExitStack() as held:
        for _ in range(count):
            connection = held.enter_context(http2.connect(server.grpc))
            with suppress(OSError):
                connection.sendall(http2.OPENING)
        for _ in range(_HTTP_IDLE):
            held.enter_context(_http(server))
        if not settles(lambda: census(server).descriptors >= open_already + count):
            complaints.append(f"{census(server).descriptors - open_already} of {count} were taken in")
        answers = answers_right(server, "idle connections")
        complaints += [] if answers.kept else [answers.found]
        descriptors = census(server).descriptors
    return {"idle connections": count, "descriptors while they stay": descriptors}, complaints
