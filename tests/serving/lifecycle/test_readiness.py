"""When a server says that it is ready: over every front the same, and only where what it is there for serves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from adding_models import MODEL, write_version
from fovea.cli import main
from fovea.runtime.repository import ModelFolder
from fovea.serving.lifecycle.model_entries import ModelEntry, VersionEntry, VersionState
from fovea.serving.lifecycle.model_table import Models
from fovea.serving.lifecycle.readiness import Readiness
from fovea.wire import SERVICE
from raw_client import RawClient
from servers import RunningServer, infer_request, running_server, slow_model, taken_in, wait_until

SERVING = VersionEntry(VersionState.READY, served=cast(Any, object()))
FAILED = VersionEntry(VersionState.UNAVAILABLE, "half a file")


def table(**versions: VersionEntry) -> Models:
    models = Models()
    models.entries = {name: entry(name, held) for name, held in versions.items()}
    return models


def entry(name: str, held: VersionEntry) -> ModelEntry:
    return ModelEntry(ModelFolder(name, Path(name), (1,)), {"1": held})


@pytest.mark.parametrize(
    ("models", "ready"),
    [
        (table(), {"all", "any", "loaded"}),
        (table(a=SERVING, b=SERVING), {"all", "any", "loaded"}),
        (table(a=SERVING, b=FAILED), {"any", "loaded"}),
        (table(a=FAILED, b=FAILED), {"loaded"}),
    ],
)
def test_all_of_the_chosen_models_have_to_serve_or_any_or_none(models: Models, ready: set[str]) -> None:
    for when in ("all", "any", "loaded"):
        readiness = Readiness(cast(Any, when), models)
        readiness.expect(models.entries)
        assert readiness.is_enough is (when in ready)


def test_what_does_not_serve_is_told_with_its_reason() -> None:
    readiness = Readiness("all", table(a=SERVING, b=FAILED))
    readiness.expect(["a", "b"])
    assert readiness.missing == {"b": "version 1: half a file"}


def test_a_model_has_to_serve_once_it_has_served_until_it_is_unloaded_or_gone() -> None:
    models = table(a=SERVING)
    readiness = Readiness("all", models)
    readiness.changed(["a"])
    models.entries = {"a": entry("a", FAILED)}
    assert not readiness.is_enough
    readiness.release("a")
    assert readiness.is_enough


def test_a_model_that_is_unloaded_has_to_serve_no_more_though_its_versions_end_one_after_the_other() -> None:
    models = table(a=SERVING)
    readiness = Readiness("all", models)
    readiness.changed(["a"])
    readiness.release("a")
    readiness.changed(["a"])  # one version has ended, another still answers
    models.entries = {"a": entry("a", FAILED)}
    readiness.changed(["a"])
    assert readiness.is_enough
    models.entries = {"a": entry("a", SERVING)}
    readiness.changed(["a"])  # it was loaded again
    models.entries = {"a": entry("a", FAILED)}
    assert not readiness.is_enough
    readiness.expect(["a"])
    models.entries = {}
    readiness.changed(["a"])
    assert readiness.is_enough


@dataclass(frozen=True)
class Fronts:
    """Everything that tells whether a server is ready."""

    server: RunningServer
    channel: grpc.Channel

    def say(self) -> set[bool]:
        return {self._http(), RawClient(self.channel)("ServerReady").ready, *map(self._health, ("", SERVICE))}

    def _http(self) -> bool:
        try:
            with urlopen(f"{self.server.http}/v2/health/ready", timeout=20) as answer:
                return bool(answer.status == 200)
        except HTTPError as refused:
            refused.close()
            return False

    def _health(self, name: str) -> bool:
        request = health_pb2.HealthCheckRequest(service=name)
        status = health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=20).status
        return bool(status == health_pb2.HealthCheckResponse.SERVING)


def started(repository: Path, *flags: str) -> Iterator[Fronts]:
    with running_server(repository, *flags) as server, grpc.insecure_channel(server.grpc) as channel:
        yield Fronts(server, channel)


@pytest.fixture
def polling(tmp_path: Path) -> Iterator[Fronts]:
    damage(write_version(tmp_path, 10))
    yield from started(tmp_path, "--control-mode=poll", "--poll-s=0.1")


@pytest.fixture
def explicit(tmp_path: Path) -> Iterator[Fronts]:
    write_version(tmp_path, 10)
    damage(tmp_path / "broken" / "1")
    yield from started(tmp_path, "--control-mode=explicit", "--open-rpcs=model_control")


def damage(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(b"half a file")
    return folder


def test_a_server_whose_only_model_cannot_be_served_is_not_ready_until_it_can(
    polling: Fronts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert polling.say() == {False}
    assert main(["health", "--server", polling.server.grpc]) == 1
    assert capsys.readouterr().out == "not serving\n"
    assert " not ready: gRPC " in polling.server.ready_line
    assert f", not served {MODEL}" in polling.server.ready_line
    write_version(tmp_path, 10)
    wait_until(lambda: polling.say() == {True})


def test_neither_files_that_cannot_replace_a_model_nor_a_new_broken_one_make_it_unready(
    polling: Fronts, tmp_path: Path
) -> None:
    write_version(tmp_path, 10)
    wait_until(lambda: polling.say() == {True})
    damage(tmp_path / MODEL / "1")
    damage(tmp_path / "new" / "1")
    client = RawClient(polling.channel)
    wait_until(lambda: all(one.reason for one in client("RepositoryIndex").models))
    assert {one.name: one.state for one in client("RepositoryIndex").models} == {MODEL: "READY", "new": "UNAVAILABLE"}
    assert polling.say() == {True}
    shutil.rmtree(tmp_path / MODEL)
    wait_until(lambda: [one.name for one in client("RepositoryIndex").models] == ["new"])
    assert polling.say() == {True}


def test_a_model_that_leaves_the_repository_makes_no_server_unready_while_it_ends(tmp_path: Path) -> None:
    for fronts in started(slow_model(tmp_path), "--control-mode=poll", "--poll-s=0.1", "--max-batch-rows=1"):
        client, row = RawClient(fronts.channel), np.zeros((1, 256), np.float32)
        calls = [client.start("ModelInfer", infer_request("slow", row), 60) for _ in range(40)]
        wait_until(lambda fronts=fronts: taken_in(fronts.server) > 30)
        shutil.rmtree(tmp_path / "slow")
        wait_until(lambda client=client: [one.state for one in client("RepositoryIndex").models] == ["UNLOADING"])
        assert fronts.say() == {True}
        assert all(call.result() for call in calls)


def test_in_explicit_mode_it_is_ready_without_a_model_and_whatever_is_loaded_or_unloaded(explicit: Fronts) -> None:
    client = RawClient(explicit.channel)
    assert explicit.say() == {True}
    with pytest.raises(grpc.RpcError, match="failed to load"):
        client("RepositoryModelLoad", repository_name="broken")
    assert explicit.say() == {True}
    client("RepositoryModelLoad", repository_name=MODEL)
    client("RepositoryModelUnload", repository_name=MODEL)
    assert explicit.say() == {True}


def test_a_model_of_several_versions_may_be_unloaded_and_the_server_is_ready(explicit: Fronts, tmp_path: Path) -> None:
    for version in (2, 3, 4):
        write_version(tmp_path, 10, version)
    client = RawClient(explicit.channel)
    for _ in range(4):
        every = {"config": {"string_param": '{"version_policy": {"all": {}}}'}}
        client("RepositoryModelLoad", model_name=MODEL, parameters=every)
        client("RepositoryModelUnload", model_name=MODEL)
        assert explicit.say() == {True}


@pytest.mark.parametrize(("when", "ready"), [("all", False), ("any", True)])
def test_how_many_models_have_to_serve_is_a_setting(tmp_path: Path, when: str, ready: bool) -> None:
    write_version(tmp_path, 10)
    damage(tmp_path / "broken" / "1")
    for fronts in started(tmp_path, f"--ready-when={when}"):
        assert fronts.say() == {ready}


def test_a_folder_without_a_version_has_to_serve_only_where_there_seems_to_be_a_model_in_it(tmp_path: Path) -> None:
    write_version(tmp_path, 10)
    (tmp_path / "notes").mkdir()
    for fronts in started(tmp_path):
        assert fronts.say() == {True}
    shutil.move(tmp_path / MODEL / "1", tmp_path / MODEL / "v1")
    for fronts in started(tmp_path):
        assert fronts.say() == {False}
