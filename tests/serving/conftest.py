"""One real server per lane, shared by the tests of a module."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from raw_client import RawClient
from servers import RunningServer, plain_models, running_server

LIMITS = ("--max-batch-rows=8", "--max-message-mb=1")


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A server that a test makes in this process filters what the log's handlers write: no longer than the test."""
    root = logging.getLogger()
    level, filters = root.level, [(handler, list(handler.filters)) for handler in root.handlers]
    yield
    root.setLevel(level)
    for handler, before in filters:
        handler.filters[:] = before


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return plain_models(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, repository: Any) -> Iterator[RunningServer]:
    with running_server(repository, f"--{request.param}", *LIMITS, "--ready-when=any") as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[RawClient]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield RawClient(channel)
