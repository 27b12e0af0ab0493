"""Traces of single requests: set over the network, written to a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from fovea import wire
from servers import RunningServer, infer_request, plain_models, running_server, wait_until

X = np.ones((1, 4), np.float32)
STAMPS = [
    *("REQUEST_START", "QUEUE_START", "COMPUTE_START", "COMPUTE_INPUT_END"),
    *("COMPUTE_OUTPUT_START", "COMPUTE_END", "REQUEST_END"),
]
OFF: dict[str, Any] = dict.fromkeys(("trace_level", "trace_rate", "trace_count", "log_frequency"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: Any, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = plain_models(tmp_path_factory.mktemp("repository"))
    flags = (f"--{request.param}", "--open-rpcs=trace", f"--trace-file={folder}/{request.param}.jsonl")
    with running_server(repository, *flags) as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client
        client.update_trace_settings("double", OFF)
        client.update_trace_settings(None, OFF)


def infer(client: Any, model: str = "double", request_id: str = "") -> None:
    tensor = triton.InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(X)
    client.infer(model, [tensor], request_id=request_id)


def settings(told: Any) -> dict[str, str]:
    return {name: setting.value[0] for name, setting in told.settings.items()}


def lines(client: Any) -> list[dict[str, Any]]:
    path = Path(settings(client.get_trace_settings())["trace_file"])
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_nothing_is_traced_at_first_and_the_settings_say_so(client: Any, folder: Path) -> None:
    told = settings(client.get_trace_settings())
    assert Path(told.pop("trace_file")).parent == folder
    assert told == {"trace_level": "OFF", "trace_rate": "1000", "trace_count": "-1", "log_frequency": "0"}
    infer(client)
    assert lines(client) == []


def test_a_traced_request_leaves_a_line_with_its_times_in_order(client: Any) -> None:
    client.update_trace_settings(None, {"trace_level": ["TIMESTAMPS"], "trace_rate": "1"})
    before = len(lines(client))
    infer(client, request_id="mine")
    wait_until(lambda: len(lines(client)) > before)
    line = lines(client)[-1]
    assert (line["model_name"], line["model_version"], line["request_id"]) == ("double", "1", "mine")
    assert [stamp["name"] for stamp in line["timestamps"]] == STAMPS
    times = [stamp["ns"] for stamp in line["timestamps"]]
    assert times == sorted(times)


def test_every_nth_request_is_traced_and_no_more_than_the_count(client: Any) -> None:
    client.update_trace_settings(None, {"trace_level": "TIMESTAMPS", "trace_rate": "3", "trace_count": "2"})
    before = len(lines(client))
    for index in range(12):
        infer(client, request_id=str(index))
    wait_until(lambda: len(lines(client)) == before + 2)
    assert [line["request_id"] for line in lines(client)[before:]] == ["2", "5"]
    assert settings(client.get_trace_settings())["trace_count"] == "0"


def test_a_model_may_have_settings_of_its_own_until_they_are_cleared(client: Any) -> None:
    told = client.update_trace_settings("double", {"trace_level": "TIMESTAMPS", "trace_rate": "1"})
    assert settings(told)["trace_level"] == "TIMESTAMPS"
    assert settings(client.get_trace_settings())["trace_level"] == "OFF"
    assert settings(client.get_trace_settings("single"))["trace_level"] == "OFF"
    before = len(lines(client))
    infer(client)
    wait_until(lambda: len(lines(client)) == before + 1)
    client.update_trace_settings(None, {"trace_rate": "7"})
    assert settings(client.get_trace_settings("double"))["trace_rate"] == "1"
    told = client.update_trace_settings("double", {"trace_level": None, "trace_rate": None})
    assert settings(told)["trace_level"] == "OFF"
    assert settings(told)["trace_rate"] == "7"


def test_with_a_log_frequency_so_many_traces_go_into_each_file(client: Any) -> None:
    path = Path(settings(client.get_trace_settings())["trace_file"])
    client.update_trace_settings(None, {"trace_level": "TIMESTAMPS", "trace_rate": "1", "log_frequency": "2"})
    for _ in range(5):
        infer(client)
    parts = [path.with_name(f"{path.name}.{part}") for part in range(3)]
    wait_until(lambda: parts[2].exists() and parts[2].read_text().endswith("\n"))
    assert [len(part.read_text().splitlines()) for part in parts] == [2, 2, 1]


@pytest.mark.parametrize(
    ("model", "asked", "told"),
    [
        ("nobody", {"trace_rate": "1"}, "nobody"),
        ("", {"trace_file": "/etc/passwd"}, "cannot be changed over the network"),
        ("", {"trace_level": "TENSORS"}, "expected OFF or TIMESTAMPS, received 'TENSORS'"),
        ("", {"trace_rate": "0"}, "expected an integer of 1"),
        ("", {"trace_count": "-2"}, "expected an integer of -1"),
        ("", {"log_frequency": "often"}, "received 'often'"),
        ("", {"trace_rate": ["1", "2"]}, "expected one value"),
        ("", {"colour": "red"}, "unknown trace setting 'colour'"),
    ],
)
def test_settings_that_cannot_be_are_told_and_change_nothing(client: Any, model: str, asked: Any, told: str) -> None:
    before = settings(client.get_trace_settings())
    with pytest.raises(InferenceServerException, match=told):
        client.update_trace_settings(model, {**asked})
    assert settings(client.get_trace_settings()) == before


def test_a_request_that_the_cache_answers_is_traced_too(tmp_path: Path) -> None:
    repository = plain_models(tmp_path / "repository")
    (repository / "double" / "model.toml").write_text("cache = true\n")
    flags = ("--open-rpcs=trace", f"--trace-file={tmp_path / 'traces'}", "--cache-mb=1")
    with running_server(repository, *flags) as server, triton.InferenceServerClient(server.grpc) as client:
        client.update_trace_settings(None, {"trace_level": "TIMESTAMPS", "trace_rate": "1"})

        def last_stamps() -> list[str]:
            infer(client)  # an answer is kept after it is sent, so the second one may still come from a run
            return [stamp["name"] for line in lines(client)[-1:] for stamp in line["timestamps"]]

        wait_until(lambda: last_stamps() == ["REQUEST_START", "QUEUE_START", "REQUEST_END"])


def test_a_full_disk_loses_traces_and_no_requests(tmp_path: Path) -> None:
    flags = ("--open-rpcs=trace", "--trace-file=/dev/full")
    with (
        running_server(plain_models(tmp_path), *flags) as server,
        triton.InferenceServerClient(server.grpc) as client,
    ):
        client.update_trace_settings(None, {"trace_level": "TIMESTAMPS", "trace_rate": "1"})
        for _ in range(20):
            infer(client)
        wait_until(lambda: any("traces are lost" in line for line in server.errors))
        assert server.terminate() == 0
        assert sum("traces are lost" in line for line in server.errors) == 1


def test_a_trace_file_that_hangs_does_not_hinder_the_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trace")  # nobody reads it
    flags = ("--open-rpcs=trace", f"--trace-file={tmp_path / 'trace'}")
    with (
        running_server(plain_models(tmp_path / "repository"), *flags) as server,
        triton.InferenceServerClient(server.grpc) as client,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        client.update_trace_settings(None, {"trace_level": "TIMESTAMPS", "trace_rate": "1"})
        call, request = channel.unary_unary(wire.path("ModelInfer")), infer_request("double", X)
        while not any("traces are lost" in line for line in server.errors):
            for future in [call.future(request, timeout=60) for _ in range(500)]:
                future.result()
        assert server.terminate() == 0


def test_without_a_file_tracing_cannot_be_switched_on(tmp_path: Path) -> None:
    with (
        running_server(plain_models(tmp_path), "--open-rpcs=trace") as server,
        triton.InferenceServerClient(server.grpc) as client,
        pytest.raises(InferenceServerException, match="--trace-file"),
    ):
        client.update_trace_settings(None, {"trace_level": "TIMESTAMPS"})
