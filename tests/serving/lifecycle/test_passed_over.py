"""Folders in which no model can be found: the log, the repository's index and whoever loads them are told why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from adding_models import MODEL, write_version
from raw_client import RawClient
from servers import RunningServer, running_server, wait_until

NAMED_OTHERWISE = "it has no version folder: expected 1, 2 or another whole number, with model.onnx in it, found 'v1'"
REASONS = {
    ("named", ""): NAMED_OTHERWISE,
    ("no name", ""): "its name cannot be a model's",
    (MODEL, "02"): "its name is no version's: expected 1, 2 or another whole number without zeros before it",
    (MODEL, "7"): "it is chosen, and there is no such folder",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    version = write_version(root, 10)
    for place in ("named/v1", "no name/1", f"{MODEL}/02", "hidden.tmp/1", ".hidden/1"):
        shutil.copytree(version, root / place)
    (root / MODEL / "model.toml").write_text("versions = [1, 7]")
    return root


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[RunningServer]:
    with running_server(repository, "--control-mode=explicit", "--open-rpcs=model_control") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[RawClient]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield RawClient(channel)


def test_the_index_and_the_log_name_each_with_its_reason(server: RunningServer, client: RawClient) -> None:
    listed = {(one.name, one.version): one for one in client("RepositoryIndex").models}
    assert {place for place in listed if place not in REASONS} == {(MODEL, "1")}
    for place, reason in REASONS.items():
        assert listed[place].state == "UNAVAILABLE"
        assert reason in listed[place].reason

    def is_logged(place: tuple[str, str], why: str) -> bool:
        return any('"warning"' in line and place[0] in line and why in line for line in server.errors)

    wait_until(lambda: all(is_logged(*one) for one in REASONS.items()))


def test_who_loads_one_hears_what_is_missing(repository: Path, client: RawClient) -> None:
    with pytest.raises(grpc.RpcError, match=f"failed to load 'named': {NAMED_OTHERWISE}") as refused:
        client("RepositoryModelLoad", repository_name="named")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError, match=r"expected the name of a model .letters of ASCII.*received 'no name'"):
        client("RepositoryModelLoad", repository_name="no name")
    with pytest.raises(grpc.RpcError, match=f"failed to load '{MODEL}': version 7: it is chosen, and there is"):
        client("RepositoryModelLoad", repository_name=MODEL)
    assert client("ModelReady", name=MODEL, version="1").ready
    (repository / MODEL / "model.toml").write_text("versions = [7]")
    with pytest.raises(grpc.RpcError, match=f"failed to load '{MODEL}': its version policy chooses none of "):
        client("RepositoryModelLoad", repository_name=MODEL)


def test_a_folder_that_is_put_right_while_the_server_polls_is_served(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "named", tmp_path / "named")
    with (
        running_server(tmp_path, "--control-mode=poll", "--poll-s=0.1") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        client = RawClient(channel)
        assert [one.reason for one in client("RepositoryIndex").models] == [NAMED_OTHERWISE]
        (tmp_path / "named" / "v1").rename(tmp_path / "named" / "1")
        wait_until(lambda: client("ModelReady", name="named").ready)
        (tmp_path / "named" / "1").rename(tmp_path / "named" / "v1")
        wait_until(lambda: [one.reason for one in client("RepositoryIndex").models] == [NAMED_OTHERWISE])
