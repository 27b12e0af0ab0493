"""Models that change while they are called: what callers get, and what the repository's index tells."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from adding_models import MODEL, Answers, calling, write_files, write_version
from raw_client import RawClient
from servers import RunningServer, running_server, wait_until

POLL = ("--control-mode=poll", "--poll-s=0.1")


@contextmanager
def polling(repository: Path, *flags: str) -> Iterator[tuple[RunningServer, RawClient]]:
    with running_server(repository, *POLL, *flags) as server, grpc.insecure_channel(server.grpc) as channel:
        yield server, RawClient(channel)


def index(client: RawClient) -> dict[str, tuple[str, str]]:
    """Version -> state and reason."""
    return {one.version: (one.state, one.reason) for one in client("RepositoryIndex").models if one.name == MODEL}


def version_2_appears(repository: Path) -> None:
    write_version(repository, 20, 2)


def files_of_version_1_change(repository: Path) -> None:
    write_files(repository, 11)


def folder_of_version_1_is_replaced(repository: Path) -> None:
    write_version(repository, 11)


def model_toml_changes(repository: Path) -> None:
    (repository / MODEL / "model.toml").write_text("instances = 2\n")
    write_version(repository, 20, 2)


@pytest.mark.parametrize("lane", ["fast-lane", "no-fast-lane"])
@pytest.mark.parametrize(
    ("change", "after"),
    [
        (version_2_appears, ("2", 20.0)),
        (files_of_version_1_change, ("1", 11.0)),
        (folder_of_version_1_is_replaced, ("1", 11.0)),
        (model_toml_changes, ("2", 20.0)),
    ],
)
def test_a_swap_under_load_fails_no_request_and_mixes_no_answer(
    tmp_path: Path, lane: str, change: Callable[[Path], None], after: tuple[str, float]
) -> None:
    write_version(tmp_path, 10)
    with polling(tmp_path, f"--{lane}") as (server, client), calling(server.grpc) as answers:
        wait_until(lambda: len(answers.got) > 50)
        change(tmp_path)
        wait_until(lambda: answers.last == after)
        wait_until(lambda: index(client) == {after[0]: ("READY", "")})
    assert answers.errors == []
    assert set(answers.got) == {("1", 10.0), after}


def test_a_version_that_is_removed_under_load_is_followed_by_the_one_before(tmp_path: Path) -> None:
    write_version(tmp_path, 10)
    write_version(tmp_path, 20, 2)
    with polling(tmp_path) as (server, client), calling(server.grpc) as answers:
        wait_until(lambda: answers.last == ("2", 20.0))
        shutil.rmtree(tmp_path / MODEL / "2")
        wait_until(lambda: answers.last == ("1", 10.0))
        wait_until(lambda: index(client) == {"1": ("READY", "")})
    assert answers.errors == []
    assert set(answers.got) == {("2", 20.0), ("1", 10.0)}


def goes_on(answers: Answers) -> None:
    before = len(answers.got)
    wait_until(lambda: len(answers.got) > before + 20)


def test_a_version_that_disagrees_with_its_golden_batch_leaves_the_old_one_serving_and_tells_why(
    tmp_path: Path,
) -> None:
    write_version(tmp_path, 10)
    with polling(tmp_path) as (server, client), calling(server.grpc) as answers:
        write_version(tmp_path, 20, 2, golden_value=21)
        wait_until(lambda: index(client).get("2", ("", ""))[0] == "UNAVAILABLE")
        assert "golden" in index(client)["2"][1]
        assert index(client)["1"] == ("READY", "")
        assert not client("ModelReady", name=MODEL, version="2").ready
        assert client("ModelReady", name=MODEL).ready
        goes_on(answers)
    assert answers.errors == []
    assert set(answers.got) == {("1", 10.0)}


def test_files_that_change_for_the_worse_are_refused_and_the_version_goes_on_as_it_was(tmp_path: Path) -> None:
    write_version(tmp_path, 10)
    with polling(tmp_path) as (server, client), calling(server.grpc) as answers:
        write_version(tmp_path, 12, golden_value=13)
        wait_until(lambda: bool(index(client)["1"][1]))
        state, reason = index(client)["1"]
        assert (state, "newer files are not served" in reason, "golden" in reason) == ("READY", True, True)
        goes_on(answers)
        write_version(tmp_path, 12)
        wait_until(lambda: answers.last == ("1", 12.0))
        wait_until(lambda: index(client) == {"1": ("READY", "")})
        wait_until(lambda: len(of_model(server, "fovea_model_info")) == 1)
        assert [value for _, value in of_model(server, "fovea_model_ready")] == [1]
        answered = len(answers.got)
        wait_until(lambda: sum(value for _, value in of_model(server, "fovea_requests_total")) >= answered)
    assert answers.errors == []
    assert set(answers.got) == {("1", 10.0), ("1", 12.0)}


def test_half_a_copy_is_not_served_and_the_whole_one_is(tmp_path: Path) -> None:
    whole = write_files(tmp_path / "elsewhere", 20, 2)
    repository = tmp_path / "repository"
    write_version(repository, 10)
    copy = repository / MODEL / "2"
    with polling(repository) as (server, client), calling(server.grpc) as answers:
        copy.mkdir()
        shutil.copy(whole / "card.json", copy)
        (copy / "model.onnx").write_bytes((whole / "model.onnx").read_bytes()[:-10])
        wait_until(lambda: "2" in index(client) and index(client)["2"][0] != "LOADING")
        assert index(client)["2"][0] == "UNAVAILABLE"
        assert "half-written" in index(client)["2"][1]
        goes_on(answers)
        assert set(answers.got) == {("1", 10.0)}
        shutil.copy(whole / "golden.npz", copy)
        shutil.copy(whole / "model.onnx", copy)
        wait_until(lambda: answers.last == ("2", 20.0))
    assert answers.errors == []


def test_version_policies_hold_when_versions_come_and_go(tmp_path: Path) -> None:
    write_version(tmp_path, 10)
    choices = tmp_path / MODEL / "model.toml"
    choices.write_text("versions = {latest = 2}\n")
    with polling(tmp_path) as (_, client):
        for version in (2, 3):
            write_version(tmp_path, version * 10, version)
        wait_until(lambda: index(client) == {"2": ("READY", ""), "3": ("READY", "")})
        choices.write_text('versions = "all"\n')
        wait_until(lambda: index(client) == dict.fromkeys("123", ("READY", "")))
        choices.write_text("versions = [1, 3]\n")
        wait_until(lambda: index(client) == dict.fromkeys("13", ("READY", "")))
        choices.write_text("versions = nonsense\n")
        wait_until(lambda: any("model.toml" in reason for _, reason in index(client).values()))
        assert {state for state, _ in index(client).values()} == {"READY"}


def of_model(server: RunningServer, metric: str = "") -> list[tuple[str, float]]:
    """The names and values of the model's series, of one metric or of all."""
    found = server.samples().items()
    return [(name, value) for (name, labels), value in found if ("model", MODEL) in labels and metric in name]


def test_the_health_of_a_model_comes_and_goes_with_its_folder(tmp_path: Path) -> None:
    asked, told = health_pb2.HealthCheckRequest(service=MODEL), health_pb2.HealthCheckResponse
    with polling(tmp_path) as (server, _), grpc.insecure_channel(server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(asked, timeout=60)
        assert next(watch).status == told.SERVICE_UNKNOWN
        write_version(tmp_path, 10)
        assert told.SERVING in (one.status for one in watch)
        shutil.rmtree(tmp_path / MODEL)
        assert told.SERVICE_UNKNOWN in (one.status for one in watch)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(asked, timeout=20)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        watch.cancel()


def test_models_come_and_go_with_their_folders_and_so_do_their_series(tmp_path: Path) -> None:
    with polling(tmp_path) as (server, client):
        assert index(client) == {}
        write_version(tmp_path, 10)
        wait_until(lambda: client("ModelReady", name=MODEL).ready)
        assert of_model(server)
        shutil.rmtree(tmp_path / MODEL)
        wait_until(lambda: index(client) == {})
        wait_until(lambda: not of_model(server))
        with pytest.raises(grpc.RpcError, match="unknown model"):
            client("ModelMetadata", name=MODEL)


@pytest.fixture
def hangup() -> Iterator[None]:
    """A server is started as from a shell: not with SIGHUP ignored, as under nohup, which children inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup")
def test_sighup_has_the_files_read_again_without_polling_and_fails_no_request(tmp_path: Path) -> None:
    write_version(tmp_path, 10)
    write_version(tmp_path / "other", 5)
    (tmp_path / "other" / MODEL).rename(tmp_path / "leaving")
    with (
        running_server(tmp_path) as server,
        grpc.insecure_channel(server.grpc) as channel,
        calling(server.grpc) as answers,
    ):
        client = RawClient(channel)
        wait_until(lambda: len(answers.got) > 50)
        write_version(tmp_path, 20, 2)
        shutil.rmtree(tmp_path / "leaving")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: answers.last == ("2", 20.0))
        wait_until(lambda: {one.name for one in client("RepositoryIndex").models} == {MODEL, "other"})
    assert answers.errors == []


@pytest.mark.usefixtures("hangup")
def test_sighup_changes_nothing_where_callers_load_and_unload(tmp_path: Path) -> None:
    write_version(tmp_path, 10)
    with running_server(tmp_path, "--control-mode=explicit", f"--load-models={MODEL}") as server:
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "nothing is read again in control mode explicit" in "".join(server.errors))
        assert server.terminate() == 0
