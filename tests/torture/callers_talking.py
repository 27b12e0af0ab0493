"""Callers that say too much: headers without end, headers that unfold, messages at the limit and a byte above."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np
from tests.servers import RunningServer
from tests.torture import http2
from tests.torture.models import SUM
from tests.torture.watch import peak_memory

from fovea import wire

_PATH = wire.path("ModelInfer")
_ENDLESS_BYTES = 64 << 20
_UNFOLDED_TIMES = 100_000
"""Of 4,000 bytes each: 400 MB."""
_MOST_MB = 64.0
_WAIT_S = 60.0


def header_bombs(server: RunningServer) -> tuple[Mapping[str, float | str], list[str]]:
    """None is answered with success, and none takes more than 64 MB on its way."""
    complaints = []
    with peak_memory(server) as peak:
        for what, bomb in (
            ("64 MB of headers", http2.endless_headers(_PATH, _ENDLESS_BYTES)),
            ("400 MB of headers, folded", http2.unfolding_headers(_PATH, _UNFOLDED_TIMES)),
        ):
            _send(server, bomb)
            if peak.grown_mb > _MOST_MB:
                complaints.append(f"{what}: memory grew by {peak.grown_mb:.0f} MB")
        complaints += _metadata_refused(server) + _http_header_refused(server)
    return {"memory that header bombs took, MB": peak.grown_mb}, complaints


def _send(server: RunningServer, data: bytes) -> None:
    """Send as much as is taken, and wait for the end of the connection or for silence."""
    with http2.connect(server.grpc) as connection, suppress(OSError):
        connection.sendall(http2.OPENING + data)
        connection.settimeout(2)
        while connection.recv(1 << 16):
            pass


def _metadata_refused(server: RunningServer) -> list[str]:
    with grpc.insecure_channel(server.grpc) as channel:
        try:
            channel.unary_unary(wire.path("ServerLive"))(b"", metadata=[("bomb", "x" * (1 << 20))], timeout=_WAIT_S)
        except grpc.RpcError as error:
            code = error.code().name
        else:
            code = "OK"
    return [] if code == "RESOURCE_EXHAUSTED" else [f"1 MB of metadata got {code}"]


def _http_header_refused(server: RunningServer) -> list[str]:
    connection = HTTPConnection(urlsplit(server.http).netloc, timeout=_WAIT_S)
    try:
        connection.request("GET", "/v2/health/live", headers={"Bomb": "x" * (1 << 20)})
        status = connection.getresponse().status
    except ConnectionError:  # it was closed while we were sending
        status = 431
    finally:
        connection.close()
    return [] if status == 431 else [f"1 MB of HTTP header got {status}"]


def at_the_limits(server: RunningServer, limit: int) -> tuple[Mapping[str, float | str], list[str]]:
    """What is as long as the limit is answered; a byte more is refused, over gRPC and HTTP."""
    expected: tuple[tuple[Callable[[RunningServer, int], str], int, str], ...] = (
        *((_over_grpc, limit, "OK"), (_over_grpc, limit + 1, "RESOURCE_EXHAUSTED")),
        *((_over_http, limit, "200"), (_over_http, limit + 1, "413")),
    )
    got = {f"{send.__name__.strip('_')} {size:,} bytes": (send(server, size), right) for send, size, right in expected}
    complaints = [f"{what}: {status}, expected {right}" for what, (status, right) in got.items() if status != right]
    return {what: status for what, (status, _) in got.items()}, complaints


def _over_grpc(server: RunningServer, size: int) -> str:
    with grpc.insecure_channel(server.grpc) as channel:
        try:
            channel.unary_unary(_PATH)(_request_of(size), timeout=_WAIT_S)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def _request_of(size: int) -> bytes:
    """A right request for `sum` of exactly so many bytes: as many numbers as fit, and an id for the rest."""
    numbers, request = (size - 128) // 4, b""
    for id_length in range(1, 127):
        x = np.zeros((1, numbers), np.float32)
        tensor = {"name": "x", "datatype": "FP32", "shape": x.shape}
        fields: dict[str, Any] = {"model_name": SUM, "id": "i" * id_length, "inputs": [tensor]}
        message = wire.message("ModelInferRequest")(**fields, raw_input_contents=[x.tobytes()])
        request = bytes(message.SerializeToString())
        if len(request) == size:
            return request
    raise AssertionError(f"no request of {size} bytes: the last had {len(request)}")


def _over_http(server: RunningServer, size: int) -> str:
    body = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}'
    connection = HTTPConnection(urlsplit(server.http).netloc, timeout=_WAIT_S)
    try:
        connection.request("POST", f"/v2/models/{SUM}/infer", body + b" " * (size - len(body)))
        return str(connection.getresponse().status)
    finally:
        connection.close()
