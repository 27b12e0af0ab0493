"""`fovea doctor`: on this machine, and on a server that runs."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simam_version import write_version

Fovea = Callable[..., tuple[int, str, str]]
FREE_PORTS = ("--grpc-port=0", "--http-port=0", "--metrics-port=0")


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which nothing is wrong."""
    root = tmp_path_factory.mktemp("healthy")
    write_version(root / "simam" / "1")
    (root / "plain").mkdir()
    return root


def examined(fovea: Fovea, *words: object) -> tuple[int, dict[str, Any]]:
    status, out, err = fovea("doctor", "--json", *words)
    assert err == ""
    return status, json.loads(out)


def test_where_nothing_is_wrong_the_status_is_0_and_a_model_tells_what_it_costs(fovea: Fovea, healthy: Path) -> None:
    status, found = examined(fovea, "--repository", healthy, *FREE_PORTS)
    assert (status, found["ok"], found["wrong"]) == (0, True, [])
    model = found["simam 1"]
    assert (model["state"], model["attention"]) == ("can be served", ["simam"])
    assert model["batch_ms"]["1"] > 0
    assert 0 < model["attention_share"] <= 1
    assert model["worthwhile_rows"] >= 1


def test_versions_machine_device_and_kernels_are_told(fovea: Fovea, healthy: Path) -> None:
    _, found = examined(fovea, "--repository", healthy, "--kernels=off", *FREE_PORTS)
    assert {"python", "fovea", "onnxruntime", "grpcio", "numpy", "protobuf"} <= set(found["versions"])
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["open_files_limit"] > 0
    assert "CPUExecutionProvider" in found["device"]["providers"]
    assert found["kernels"] == {"mode": "off", "library": "kernels are turned off"}
    assert found["simam 1"]["kernels_reason"] == "kernels are turned off"


def test_a_variable_that_is_no_setting_is_told(fovea: Fovea, healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FOVEA_KERNELS", "FOVEA_KERNELS_ISA", "FOVEA_MAX_QUEUES"):
        monkeypatch.setenv(name, "off")
    _, found = examined(fovea, "--repository", healthy, *FREE_PORTS)
    assert found["server"]["variables_that_are_no_settings"] == [
        "FOVEA_MAX_QUEUES is no setting: did you mean FOVEA_MAX_QUEUE?"
    ]


def test_a_folder_without_models_is_wrong(fovea: Fovea, tmp_path: Path) -> None:
    status, found = examined(fovea, "--repository", tmp_path, *FREE_PORTS)
    assert (status, found["wrong"]) == (1, [f"models: models: there is no model in the repository {tmp_path}"])


def test_a_broken_model_is_named_with_its_reason(fovea: Fovea, repository: Path) -> None:
    status, found = examined(fovea, "--repository", repository, *FREE_PORTS)
    assert (status, found["ok"]) == (1, False)
    (wrong,) = found["wrong"]
    assert wrong.startswith("damaged 2: state: maps.onnx")
    assert found["tiny 1"]["state"] == "can be served"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--repository", "nowhere"], "models: repository: model repository nowhere"),
        (["--device=cuda:7"], "device: chosen: device cuda:7 cannot be used"),
        (["--kernel-library=nowhere.so"], "kernels: library: no kernel library at nowhere.so"),
        (["--tls-cert=nowhere.pem", "--tls-key=nowhere.pem"], "server: tls: tls_cert nowhere.pem cannot be read"),
        (["--token-file=nowhere.txt"], "server: token: token file nowhere.txt cannot be read"),
    ],
)
def test_settings_that_cannot_be_met_are_wrong(fovea: Fovea, healthy: Path, words: list[str], told: str) -> None:
    status, found = examined(fovea, "--repository", healthy, *FREE_PORTS, *words)
    assert status == 1
    assert [text[: len(told)] for text in found["wrong"]] == [told]


def test_why_there_is_no_gpu_is_told(fovea: Fovea, healthy: Path) -> None:
    _, found = examined(fovea, "--repository", healthy, *FREE_PORTS)
    device = found["device"]
    assert device["chosen"] == ("cuda:0" if device["gpu"] == "usable" else "cpu")
    assert device["gpu"] == "usable" or "CUDA" in device["gpu"] or "driver" in device["gpu"]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which something that is no server listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_another_program_has_is_wrong(fovea: Fovea, healthy: Path, taken: int) -> None:
    status, found = examined(
        fovea, "--repository", healthy, "--grpc-port=0", "--metrics-port=0", f"--http-port={taken}"
    )
    assert status == 1
    assert found["wrong"] == [f"server: http_port: 127.0.0.1:{taken}: Address already in use"]


def test_a_port_on_an_ipv6_address_can_be_free(fovea: Fovea, healthy: Path) -> None:
    status, found = examined(fovea, "--repository", healthy, "--host=::1", *FREE_PORTS)
    assert (status, found["server"]["grpc_port"]) == (0, "any that is free")


def test_a_version_that_is_passed_over_is_wrong_and_told_with_the_reason(fovea: Fovea, tmp_path: Path) -> None:
    write_version(tmp_path / "m" / "1")
    write_version(tmp_path / "m" / "v2")
    (tmp_path / "m" / "model.toml").write_text("versions = [1, 7]")
    status, found = examined(fovea, "--repository", tmp_path, *FREE_PORTS)
    assert status == 1
    odd, absent = found["wrong"]
    assert odd.startswith("m v2: state: not served: its name is no version's: ")
    assert absent == "m 7: state: not served: it is chosen, and there is no such folder"


def test_a_model_of_which_no_version_is_chosen_is_wrong(fovea: Fovea, tmp_path: Path) -> None:
    write_version(tmp_path / "old" / "1")
    (tmp_path / "old" / "model.toml").write_text("versions = [7]")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.pbtxt").write_text("nonsense: 1")
    status, found = examined(fovea, "--repository", tmp_path, *FREE_PORTS)
    assert status == 1
    broken, old = found["wrong"]
    assert broken.startswith("empty: state: no version to serve: ")
    assert "config.pbtxt: " in broken
    assert old == "old: state: no version to serve: its version policy chooses none of [1]"


def test_the_ports_of_a_server_that_runs_are_not_wrong(fovea: Fovea, healthy: Path, server: str) -> None:
    port = server.rpartition(":")[2]
    ports = (f"--grpc-port={port}", "--http-port=0", "--metrics-port=0")
    status, found = examined(fovea, "--repository", healthy, *ports)
    assert (status, found["server"]["grpc_port"]) == (0, f"{port}: a server is running")


def test_a_running_server_is_asked_what_it_has(fovea: Fovea, server: str, bright: Path) -> None:
    fovea("infer", "tiny", bright, "--server", server)
    status, found = examined(fovea, "--server", server)
    assert (status, found["server"]["serving"]) == (1, True)
    assert [text[:31] for text in found["wrong"]] == ["damaged 2: state: unavailable: m"[:31]]
    assert (found["tiny 1"]["state"], found["tiny 1"]["kernels"]) == ("ready", "none")
    assert found["tiny 1"]["rows"] >= 1
    assert found["tiny 1"]["batch_ms"]["1"] > 0
    assert found["tiny 1"]["served_batch_ms"]["1"] > 0


def test_people_get_a_line_for_every_fact_and_a_mark_where_it_is_wrong(fovea: Fovea, repository: Path) -> None:
    status, out, _ = fovea("doctor", "--repository", repository, *FREE_PORTS)
    assert status == 1
    assert "\nmachine\n" in out
    (line,) = [line for line in out.splitlines() if line.startswith("✗")]
    assert line.split()[:3] == ["✗", "state", "maps.onnx"]


def test_a_server_that_does_not_answer_is_one_clear_line(fovea: Fovea) -> None:
    status, out, err = fovea("doctor", "--server", "127.0.0.1:1")
    assert (status, out, err.count("\n")) == (1, "", 1)
