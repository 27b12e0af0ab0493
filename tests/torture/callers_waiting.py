"""Callers that let the server wait: for a message, for the other half of it, or for somebody who reads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

import grpc
from tests.servers import RunningServer
from tests.torture import http2
from tests.torture.half_calls import HalfCalls
from tests.torture.neighbours import answers_right
from tests.torture.watch import peak_memory

from fovea import wire

_HEALTH = ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch")
_PROBES = (wire.path("ServerLive"), wire.path("ServerReady"), _HEALTH[0])
_SILENT_EACH = 1000
_CONNECTIONS = 40
_EACH = 16
"""Messages of a connection that are sent by half."""
_OVER_MB = 256.0
"""Beyond what there is for them all: what comes between two looks, and what they take besides."""
_WAIT_S = 60.0


def silent_calls(server: RunningServer) -> tuple[Mapping[str, float | str], list[str]]:
    """Thousands that are opened and say nothing, and a watcher that does not read: probes are answered all the same."""
    complaints = []
    with ExitStack() as held:
        for path in (*_PROBES, _HEALTH[1], wire.path("ModelMetadata")):
            held.enter_context(HalfCalls(server.grpc)).open(path, _SILENT_EACH)
        watcher = held.enter_context(http2.connect(server.grpc))
        watcher.sendall(http2.opening_that_takes_nothing() + http2.call(_HEALTH[1], b""))
        for path in _PROBES:
            with grpc.insecure_channel(server.grpc) as channel:
                try:
                    channel.unary_unary(path)(b"", timeout=_WAIT_S)
                except grpc.RpcError as error:
                    complaints.append(f"{path} got {error.code().name}")
    return {"calls that said nothing": 5 * _SILENT_EACH}, complaints


def half_messages(server: RunningServer, limit: int, all_mb: int) -> tuple[Mapping[str, float | str], list[str]]:
    """Ten times what there is for messages on their way, each without its end."""
    size = limit * 9 // 10
    with ExitStack() as held, peak_memory(server) as peak:
        for _ in range(_CONNECTIONS):
            caller = held.enter_context(HalfCalls(server.grpc))
            for _ in range(_EACH):
                caller.half(wire.path("ModelInfer"), limit, size)
        answers = answers_right(server, "half messages")
    complaints = [] if answers.kept else [answers.found]
    if peak.grown_mb > all_mb + _OVER_MB:
        complaints.append(f"memory grew by {peak.grown_mb:.0f} MB, there are {all_mb} MB for messages on their way")
    figures = {"half messages, MB": _CONNECTIONS * _EACH * size / 1e6, "memory that they took, MB": peak.grown_mb}
    return figures, complaints
