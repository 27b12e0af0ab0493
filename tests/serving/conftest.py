"""One real server per lane, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from fovea import wire
from servers import RunningServer, plain_models, running_server


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return plain_models(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, repository: Any) -> Iterator[RunningServer]:
    with running_server(repository, f"--{request.param}", "--max-batch-rows=8", "--max-message-mb=1") as server:
        yield server


class RawClient:
    """The service's RPCs with any message, well-formed or not."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def __call__(self, method: str, timeout: float | None = 20, **fields: Any) -> Any:
        return self.send(method, wire.message(f"{method}Request")(**fields).SerializeToString(), timeout)

    def send(self, method: str, data: bytes, timeout: float | None = 20) -> Any:
        answer = self.start(method, data, timeout).result()
        return wire.message(f"{method}Response").FromString(answer)

    def start(self, method: str, data: bytes, timeout: float | None = 20) -> Any:
        return self._channel.unary_unary(wire.path(method)).future(data, timeout=timeout)


@pytest.fixture
def client(server: RunningServer) -> Iterator[RawClient]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield RawClient(channel)
