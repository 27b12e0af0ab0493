"""A gRPC server in the test's own process, in front of whatever the test gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fakes import FakeControl, FakeInference
from fovea.serving.fronts.changes import Changes
from fovea.serving.fronts.grpc.grpc_server import GrpcServer, GrpcSettings
from fovea.serving.fronts.grpc.reads import ReadLimits
from fovea.serving.fronts.grpc.transport import Transport

_MB = 1024 * 1024


@contextmanager
def grpc_here(
    inference: Any = None,
    *,
    fast_lane: bool = True,
    seconds: float = 60.0,
    tokens: Any = None,
    on_fault: Callable[[], None] = lambda: None,
) -> Iterator[GrpcServer]:
    """`seconds`: what a message has to become whole."""
    server = GrpcServer(
        GrpcSettings(
            host="127.0.0.1",
            port=0,
            transport=Transport(64 * _MB),
            handler_threads=4,
            fast_lane=fast_lane,
            max_infer_streams=4,
            max_queue=16,
            reads=ReadLimits(256 * _MB, 64 * _MB, seconds=seconds),
            tokens=tokens,
        ),
        inference or FakeInference(),
        FakeControl(),  # type: ignore[arg-type]
        Changes(),
        on_fault,
    )
    server.start()
    try:
        yield server
    finally:
        assert server.stop(0.5), "a call did not end, or the loop has"
