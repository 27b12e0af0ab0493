"""One real server, and both clients behind one face."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from fovea.client import AsyncClient, Client
from servers import RunningServer, endless_model, plain_models, running_server, save_model, slow_model, tensor
from simam_version import write_card, write_version

LABELS = ("top left", "second")

Connect = Callable[..., Any]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = endless_model(slow_model(plain_models(tmp_path_factory.mktemp("repository"))))
    write_version(root / "simam" / "1")
    write_card(root / "simam" / "1", labels=LABELS)
    return root


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that is loaded in a moment."""
    root = tmp_path_factory.mktemp("quick")
    node = helper.make_node("Add", ["x", "x"], ["y"])
    save_model(root, "double", [node], [tensor("x", ["n", 4])], [tensor("y", ["n", 4])])
    return root


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[RunningServer]:
    with running_server(repository, "--max-batch-rows=8", "--ready-when=any") as server:
        yield server


class Awaited:
    """An async client whose methods block, each run to its end in one event loop."""

    def __init__(self, *arguments: Any, **access: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = self._runner.run(self._made(arguments, access))

    async def _made(self, arguments: Any, access: Any) -> AsyncClient:
        return AsyncClient(*arguments, **access)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        assert inspect.iscoroutinefunction(method)
        return lambda *arguments, **options: self._runner.run(method(*arguments, **options))

    def __enter__(self) -> Awaited:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._runner.close()


@pytest.fixture(params=[Client, Awaited], ids=["blocking", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Makes a client of either kind; for `with`."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def client(connect: Connect, server: RunningServer) -> Iterator[Any]:
    with connect(server.grpc) as client:
        yield client
