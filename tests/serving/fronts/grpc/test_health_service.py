"""gRPC's own health service: whoever asks or watches, however badly, hinders nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.torture import http2

from fovea.serving.fronts.grpc.grpc_server import GrpcServer
from grpc_servers import grpc_here

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3
WATCH = "/grpc.health.v1.Health/Watch"


@pytest.fixture(params=[True, False], ids=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest) -> Iterator[GrpcServer]:
    with grpc_here(fast_lane=request.param) as server:
        yield server


@pytest.fixture
def stub(server: GrpcServer) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)


def about(name: str) -> Any:
    return health_pb2.HealthCheckRequest(service=name)


def test_who_asks_is_told_and_of_an_unknown_name_that_it_is_not_found(server: GrpcServer, stub: Any) -> None:
    server.health.tell("model", True)
    assert stub.Check(about("model"), timeout=20).status == SERVING
    server.health.tell("model", None)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(about("model"), timeout=20)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_who_watches_is_told_of_every_change_of_what_is_there_or_is_not_yet(server: GrpcServer, stub: Any) -> None:
    watching = stub.Watch(about("model"), timeout=20)
    seen = []
    for now in (True, False, None, True):
        seen.append(next(watching).status)
        server.health.tell("model", now)
    seen.append(next(watching).status)
    assert seen == [UNKNOWN, SERVING, NOT_SERVING, UNKNOWN, SERVING]


def test_watchers_that_do_not_read_or_have_left_hinder_no_change(server: GrpcServer, stub: Any) -> None:
    for _ in range(40):
        stub.Watch(about(""), timeout=20).cancel()
    with http2.connect(f"127.0.0.1:{server.port}") as silent:
        silent.sendall(http2.opening_that_takes_nothing())
        silent.sendall(b"".join(http2.call(WATCH, b"", stream) for stream in (1, 3)))
        watching = stub.Watch(about(""), timeout=20)
        assert next(watching).status == NOT_SERVING
        for turn in range(1000):
            server.health.tell("", turn % 2 == 1)
        while next(watching).status != SERVING:  # of changes that it could not be told of in time it gets the last
            pass
        assert stub.Check(about(""), timeout=20).status == SERVING


@pytest.mark.parametrize("method", ["Check", "Watch"])
@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x80\x80\x04" + b"x" * 65536], ids=["garbage", "long"])
def test_what_is_no_question_is_the_callers_fault(
    server: GrpcServer, caplog: pytest.LogCaptureFixture, method: str, data: bytes
) -> None:
    with (
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        list(channel.unary_stream(f"/grpc.health.v1.Health/{method}")(data, timeout=20))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert not caplog.records
