"""A connection that floods the server with frames that mean nothing delays its neighbours, but does not stop them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tests.torture.frame_floods import KINDS, flooded

from fovea import wire
from servers import RunningServer, running_server


@pytest.fixture(scope="module")
def fast_server(repository: Path) -> Iterator[RunningServer]:
    with running_server(repository, "--fast-lane") as server:
        yield server


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_answered_meanwhile(fast_server: RunningServer, kind: str) -> None:
    with flooded(fast_server.grpc, KINDS[kind]), grpc.insecure_channel(fast_server.grpc) as channel:
        ask = channel.unary_unary(wire.path("ServerLive"))
        assert all(ask(b"", timeout=5) for _ in range(20))
