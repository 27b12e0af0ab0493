"""Models that are loaded and unloaded by request, in the forms that clients send."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.utils import InferenceServerException

from adding_models import MODEL, X, write_files, write_version
from fovea import wire
from raw_client import RawClient
from servers import RunningServer, infer_request, running_server, slow_model, taken_in, wait_until

OPEN = "--open-rpcs=model_control"
EXPLICIT = ("--control-mode=explicit", OPEN)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("models")
    write_version(repository, 10)
    write_version(repository, 20, 2)
    shutil.move(write_version(tmp_path_factory.mktemp("another"), 5).parent, repository / "five")
    return repository


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, models: Path) -> Iterator[RunningServer]:
    with running_server(models, *EXPLICIT, f"--{request.param}", "--load-models=five") as server:
        yield server
        server.terminate()


@pytest.fixture
def tclient(server: RunningServer) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client
        if client.is_model_ready(MODEL):
            client.unload_model(MODEL)


def added(client: triton.InferenceServerClient, model: str = MODEL, version: str = "") -> float:
    """What the model adds to its input."""
    tensor = triton.InferInput("x", X.shape, "FP32")
    tensor.set_data_from_numpy(X)
    y = client.infer(model, [tensor], version).as_numpy("y")
    return float((y - X)[0, 0])


def states(client: triton.InferenceServerClient) -> dict[tuple[str, str], str]:
    index = client.get_model_repository_index(as_json=True)
    return {(one["name"], one["version"]): one["state"] for one in index["models"]}


def test_only_the_models_that_are_named_are_loaded_at_start(tclient: triton.InferenceServerClient) -> None:
    assert tclient.is_server_ready()
    assert states(tclient) == {("five", "1"): "READY", (MODEL, "2"): "UNAVAILABLE"}
    with pytest.raises(InferenceServerException, match="loaded") as caught:
        added(tclient)
    assert caught.value.status() == "StatusCode.UNAVAILABLE"


def serving(server: RunningServer) -> str:
    """What the health service says of the model."""
    with grpc.insecure_channel(server.grpc) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=MODEL), timeout=20)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def test_a_model_serves_from_its_load_to_its_unload(
    server: RunningServer, tclient: triton.InferenceServerClient, client: RawClient
) -> None:
    assert serving(server) == "NOT_SERVING"
    tclient.load_model(MODEL)
    assert serving(server) == "SERVING"
    assert added(tclient) == 20
    assert states(tclient)[MODEL, "2"] == "READY"
    tclient.unload_model(MODEL)
    assert states(tclient)[MODEL, "2"] == "UNAVAILABLE"
    assert not tclient.is_model_ready(MODEL)
    index = client("RepositoryIndex").models
    assert {one.reason for one in index if one.name == MODEL} == {"unloaded"}
    assert serving(server) == "NOT_SERVING"


def test_the_model_name_may_be_where_kserve_has_it_and_success_is_told_as_there(
    client: RawClient, tclient: triton.InferenceServerClient
) -> None:
    loaded = client("RepositoryModelLoad", repository_name=MODEL)
    assert (loaded.model_name, loaded.isLoaded) == (MODEL, True)
    assert added(tclient) == 20
    parameters = {"unload_dependents": {"bool_param": True}}
    unloaded = client("RepositoryModelUnload", repository_name=MODEL, parameters=parameters)
    assert (unloaded.model_name, unloaded.isUnloaded) == (MODEL, True)
    assert not tclient.is_model_ready(MODEL)


def test_a_model_that_comes_later_is_listed_and_can_be_loaded(
    tclient: triton.InferenceServerClient, models: Path
) -> None:
    shutil.copytree(models / "five", models / "later")
    assert states(tclient)["later", "1"] == "UNAVAILABLE"
    tclient.load_model("later")
    assert added(tclient, "later") == 5
    shutil.rmtree(models / "later")
    assert added(tclient, "later") == 5
    with pytest.raises(InferenceServerException, match="no such folder"):
        tclient.load_model("later")
    tclient.unload_model("later")


def test_what_of_a_configuration_is_without_effect_hinders_no_load_and_is_told(
    tclient: triton.InferenceServerClient,
) -> None:
    tclient.load_model(MODEL, config=json.dumps({"optimization": {"priority": "PRIORITY_MAX"}}))
    assert added(tclient) == 20
    (told,) = [one for one in tclient.get_model_repository_index().models if one.name == MODEL and one.version == "2"]
    assert told.reason == "config.pbtxt: without effect here: optimization (it changes no answer)"


def test_a_configuration_may_be_as_long_as_a_file_of_one(tclient: triton.InferenceServerClient) -> None:
    tclient.load_model(MODEL, config=json.dumps({"parameters": {"notes": {"string_value": "x" * 200_000}}}))
    assert added(tclient) == 20
    with pytest.raises(InferenceServerException, match="at most 1048576 characters"):
        tclient.load_model(MODEL, config=json.dumps({"parameters": {"notes": {"string_value": "x" * 2_000_000}}}))


def test_a_model_loads_by_the_configuration_that_the_server_tells(tclient: triton.InferenceServerClient) -> None:
    tclient.load_model(MODEL)
    told = tclient.get_model_config(MODEL, as_json=True)["config"]
    tclient.load_model(MODEL, config=json.dumps(told))
    again = tclient.get_model_config(MODEL, as_json=True)["config"]
    assert again.pop("parameters").keys() == told.pop("parameters").keys()  # what was measured differs
    assert again == told


def test_a_configuration_goes_before_the_models_own(tclient: triton.InferenceServerClient) -> None:
    config = {
        "max_batch_size": 4,
        "version_policy": {"specific": {"versions": [1]}},
        "dynamic_batching": {"max_queue_delay_microseconds": 2000},
        "instance_group": [{"count": 2, "kind": "KIND_CPU"}],
    }
    tclient.load_model(MODEL, config=json.dumps(config))
    assert added(tclient) == 10
    got = tclient.get_model_config(MODEL).config
    assert got.max_batch_size == 4
    assert got.dynamic_batching.max_queue_delay_microseconds == 2000
    assert got.instance_group[0].count == 2
    tclient.load_model(MODEL)
    assert added(tclient) == 20


def test_files_may_be_sent_and_never_reach_the_repository(
    tclient: triton.InferenceServerClient, models: Path, tmp_path: Path
) -> None:
    folder = write_files(tmp_path, 70, 7)
    files = {f"file:7/{path.name}": path.read_bytes() for path in folder.iterdir()}
    before = sorted(models.rglob("*"))
    tclient.load_model(MODEL, config="{}", files=files)
    assert added(tclient) == 70
    assert states(tclient).keys() == {("five", "1"), (MODEL, "7")}
    tclient.load_model("sent", files={"file:1/model.onnx": (folder / "model.onnx").read_bytes()})
    assert added(tclient, "sent") == 70
    assert sorted(models.rglob("*")) == before
    tclient.load_model(MODEL)
    assert added(tclient) == 20


def test_a_model_that_is_a_folder_may_be_sent(tclient: triton.InferenceServerClient, models: Path) -> None:
    model = (models / "five" / "1" / "model.onnx").read_bytes()
    tclient.load_model("folder", files={"file:1/model.onnx/model.onnx": model, "file:1/model.onnx/notes": b""})
    assert added(tclient, "folder") == 5
    tclient.unload_model("folder")


def test_sent_files_are_gone_when_their_model_or_the_server_is(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept() -> list[str]:
        return [path.name for path in temporary.rglob("model.onnx")]

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    model = (models / "five" / "1" / "model.onnx").read_bytes()
    with running_server(models, *EXPLICIT) as server, triton.InferenceServerClient(server.grpc) as client:
        for name in ("first", "second"):
            client.load_model(name, files={"file:1/model.onnx": model})
        with pytest.raises(InferenceServerException, match="failed to load"):
            client.load_model("third", files={"file:1/model.onnx": model[:50]})
        assert kept() == ["model.onnx"] * 2
        client.unload_model("first")
        assert kept() == ["model.onnx"]
        assert server.terminate() == 0
        assert list(temporary.glob("fovea-*")) == []


def test_what_was_sent_to_a_server_that_was_killed_is_gone_when_the_next_one_starts_and_no_others_files_are(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    files = {"file:1/model.onnx": (models / "five" / "1" / "model.onnx").read_bytes()}

    def load(server: RunningServer) -> None:
        with triton.InferenceServerClient(server.grpc) as client:
            client.load_model("sent", config="{}", files=files)

    with running_server(models, *EXPLICIT) as living, running_server(models, *EXPLICIT) as killed:
        for server in (living, killed):
            load(server)
        killed.process.kill()
        killed.process.wait()
        assert len(list(tmp_path.rglob("sent"))) == 2
        with running_server(models, *EXPLICIT):
            assert len(list(tmp_path.rglob("sent"))) == 1


def test_a_load_that_fails_tells_why_and_leaves_what_serves(
    tclient: triton.InferenceServerClient, tmp_path: Path
) -> None:
    tclient.load_model(MODEL)
    folder = write_files(tmp_path, 1, 2, golden_value=2)
    files = {f"file:2/{path.name}": path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InferenceServerException, match=f"failed to load '{MODEL}'.*golden") as caught:
        tclient.load_model(MODEL, files=files)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert added(tclient) == 20
    tclient.load_model(MODEL)
    assert added(tclient) == 20


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({"model_name": "nobody"}, "NOT_FOUND", "nobody"),
        ({"model_name": "../five"}, "INVALID_ARGUMENT", "../five"),
        ({}, "INVALID_ARGUMENT", "expected the name of a model"),
        ({"model_name": MODEL, "repository_name": "main"}, "UNIMPLEMENTED", "main"),
        ({"model_name": MODEL, "parameters": {"colour": {"string_param": "red"}}}, "INVALID_ARGUMENT", "colour"),
        ({"model_name": MODEL, "parameters": {"config": {"int64_param": 1}}}, "INVALID_ARGUMENT", "string_param"),
        *(
            ({"model_name": MODEL, "parameters": {"config": {"string_param": text}}}, "INVALID_ARGUMENT", "JSON")
            for text in ("{", "null", "1", '"a"', '""', "[]", '{"input": [7]}')
        ),
        (
            {"model_name": MODEL, "parameters": {"config": {"string_param": '{"ensemble_scheduling": {}}'}}},
            "INVALID_ARGUMENT",
            "ensemble_scheduling",
        ),
        *(
            ({"model_name": MODEL, "parameters": {f"file:{path}": {"bytes_param": b""}}}, "INVALID_ARGUMENT", "<name>")
            for path in ("../1/model.onnx", "1/../../model.onnx", "/etc/passwd", "1/a/b/c", "model.toml", "1/.hidden")
        ),
    ],
)
def test_what_cannot_be_loaded_is_told(client: RawClient, fields: dict[str, Any], code: str, told: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client("RepositoryModelLoad", **fields)
    assert (caught.value.code().name, told in caught.value.details()) == (code, True), caught.value.details()


def test_a_model_that_is_not_there_cannot_be_unloaded(client: RawClient) -> None:
    with pytest.raises(grpc.RpcError, match="nobody") as caught:
        client("RepositoryModelUnload", model_name="nobody")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("mode", ["none", "poll"])
def test_other_control_modes_refuse_to_load_and_unload(models: Path, mode: str) -> None:
    with (
        running_server(models, f"--control-mode={mode}", OPEN) as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        for rpc in ("RepositoryModelLoad", "RepositoryModelUnload"):
            with pytest.raises(grpc.RpcError, match="explicit model load / unload is not allowed") as caught:
                RawClient(channel)(rpc, model_name=MODEL)
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_unloading_answers_what_was_admitted_and_refuses_the_rest(tmp_path: Path) -> None:
    x = np.ones((1, 256), np.float32)
    flags = (*EXPLICIT, "--load-models=*", "--max-batch-rows=1")
    with (
        running_server(slow_model(tmp_path), *flags) as server,
        triton.InferenceServerClient(server.grpc) as client,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        send = RawClient(channel)
        request = infer_request("slow", x)
        waiting = [send.start("ModelInfer", request, 60) for _ in range(20)]
        wait_until(lambda: taken_in(server) >= len(waiting) - 1)  # one may run
        unload = wire.message("RepositoryModelUnloadRequest")(model_name="slow").SerializeToString()
        unloading = send.start("RepositoryModelUnload", unload, 60)
        wait_until(lambda: states(client) == {("slow", "1"): "UNLOADING"})
        assert not client.is_model_ready("slow")
        with pytest.raises(grpc.RpcError, match="UNLOADING"):
            send.send("ModelInfer", request)
        assert all(call.result() for call in waiting)
        unloading.result()
        assert states(client) == {("slow", "1"): "UNAVAILABLE"}


@pytest.mark.parametrize("lane", ["fast-lane", "no-fast-lane"])
def test_any_number_of_loads_hold_up_neither_inference_nor_other_calls(tmp_path: Path, lane: str) -> None:
    write_version(slow_model(tmp_path), 10)
    flags = (*EXPLICIT, f"--load-models={MODEL}", "--handler-threads=4", f"--{lane}")
    with (
        running_server(tmp_path, *flags) as server,
        triton.InferenceServerClient(server.grpc) as client,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        load = wire.message("RepositoryModelLoadRequest")(model_name="slow").SerializeToString()
        loading = [RawClient(channel).start("RepositoryModelLoad", load, 60) for _ in range(40)]
        wait_until(lambda: states(client)["slow", "1"] == "LOADING")
        assert added(client) == 10
        assert not client.is_model_ready("slow")
        assert states(client)["slow", "1"] == "LOADING"
        assert all(call.code() == grpc.StatusCode.OK for call in loading)
        assert client.is_model_ready("slow")
