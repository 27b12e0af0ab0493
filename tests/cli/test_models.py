"""`fovea models` and `fovea health`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import helper

from fovea.cli.connection_options import with_port
from servers import RunningServer, held_up, save_model, tensor

Fovea = Callable[..., tuple[int, str, str]]


def line_of(model: str, out: str) -> str:
    return next(line for line in out.splitlines() if line.startswith(model))


def test_models_on_disk_are_listed_with_their_facts(fovea: Fovea, repository: Path) -> None:
    status, out, _ = fovea("models", "--repository", repository)
    assert status == 0
    assert line_of("tiny", out).split() == ["tiny", "1", "cbam", "1,234", "98.76", "%", "on", "disk"]


def test_a_damaged_version_says_what_is_wrong(fovea: Fovea, repository: Path) -> None:
    _, out, _ = fovea("models", "--repository", repository)
    assert line_of("damaged", out).split() == ["damaged", "2", "broken"]
    assert "damaged 2: broken: maps.onnx" in out


def test_a_plain_file_needs_no_card(fovea: Fovea, tmp_path: Path) -> None:
    x, y = tensor("x", ["n", 4]), tensor("y", ["n", 4])
    save_model(tmp_path, "plain", [helper.make_node("Relu", ["x"], ["y"])], [x], [y])
    _, out, _ = fovea("models", "--repository", tmp_path)
    assert line_of("plain", out).split()[:3] == ["plain", "1", "none"]
    assert "plain 1: without a card" in out.splitlines()


def test_models_of_a_server_are_listed_with_their_state(fovea: Fovea, server: str) -> None:
    status, out, _ = fovea("models", "--server", server)
    assert status == 0
    assert line_of("tiny", out).split() == ["tiny", "1", "cbam", "1,234", "98.76", "%", "none", "ready"]
    assert line_of("damaged", out).split() == ["damaged", "2", "unavailable"]
    assert "damaged 2: unavailable: maps.onnx" in out


def test_a_missing_folder_is_one_clear_line(fovea: Fovea, tmp_path: Path) -> None:
    status, out, err = fovea("models", "--repository", tmp_path / "nowhere")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "nowhere" in err


@pytest.mark.parametrize("flags", [(), ("--cost",)])
def test_a_folder_without_models_is_one_clear_line(fovea: Fovea, tmp_path: Path, flags: tuple[str, ...]) -> None:
    status, out, err = fovea("models", "--repository", tmp_path, *flags)
    assert (status, out, err) == (1, "", f"fovea: there is no model in the repository {tmp_path}\n")


def test_a_model_in_the_place_of_its_repository_is_told_with_what_is_meant(fovea: Fovea, repository: Path) -> None:
    status, _, err = fovea("models", "--repository", repository / "tiny")
    assert status == 1
    assert err.endswith(f"did you mean {repository}?\n")


@pytest.mark.parametrize(
    ("model", "told"), [("tiny", "serving"), ("damaged", "not serving"), ("nobody", "unknown model 'nobody'")]
)
def test_health_tells_a_model_that_is_unknown_from_one_that_is_not_ready(
    fovea: Fovea, server: str, model: str, told: str
) -> None:
    assert fovea("health", "--server", server, "--model", model)[1:] == (f"{told}\n", "")


@pytest.mark.parametrize(("model", "status"), [("", 0), ("tiny", 0), ("damaged", 1), ("nobody", 1)])
def test_health_is_an_exit_status(fovea: Fovea, server: str, model: str, status: int) -> None:
    assert fovea("health", "--server", server, "--model", model)[0] == status


def test_a_server_that_is_busy_for_a_moment_is_healthy(fovea: Fovea, running: RunningServer) -> None:
    with held_up(running, 0.5):
        assert fovea("health", "--server", running.grpc, "--timeout", 30)[0] == 0


def test_nobody_there_is_not_healthy(fovea: Fovea) -> None:
    status, out, err = fovea("health", "--server", "127.0.0.1:1")
    assert (status, out, err.count("\n")) == (1, "not serving\n", 1)
    assert err.startswith("fovea: 127.0.0.1:1: ")


@pytest.mark.parametrize("where", ["server", "repository"])
def test_what_batches_cost_is_listed_from_a_server_and_from_the_disk(
    fovea: Fovea, server: str, repository: Path, where: str
) -> None:
    status, out, _ = fovea("models", "--cost", f"--{where}", {"server": server, "repository": repository}[where])
    assert status == 1
    assert {"model", "1", "2", "4", "best"} <= set(out.splitlines()[1].split())
    model, version, *milliseconds, best = line_of("tiny", out).split()
    assert (model, version) == ("tiny", "1")
    assert all(float(one) > 0 for one in milliseconds)
    assert int(best) >= 1
    assert "damaged 2: " in out


def test_a_wrong_variable_is_one_clear_line_where_costs_are_measured(
    fovea: Fovea, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEA_MAX_QUEUE", "none")
    status, out, err = fovea("models", "--cost", "--repository", repository)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "FOVEA_MAX_QUEUE" in err


def test_the_repository_may_be_told_by_the_servers_variable(
    fovea: Fovea, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEA_REPOSITORY", str(repository))
    assert line_of("tiny", fovea("models")[1]).startswith("tiny")


def test_an_address_without_a_port_means_the_usual_one() -> None:
    assert [with_port(one) for one in ("10.0.0.7", "[::1]", "gpu-box:9001", "unix:/run/fovea")] == [
        *("10.0.0.7:8001", "[::1]:8001", "gpu-box:9001", "unix:/run/fovea")
    ]


def test_a_certificate_that_cannot_be_read_by_grpc_is_one_clear_line(server: str, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    words = ["models", "--server", server, "--tls-ca", str(tmp_path / "none.pem")]
    done = subprocess.run([sys.executable, "-m", "fovea.cli", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_a_long_name_stays_whole_where_the_terminal_is_narrow(
    fovea: Fovea, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    names = ["a-" + "very-" * 20 + "long-name", "b"]
    for name in names:
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "1" / "model.onnx").touch()
    _, out, _ = fovea("models", "--repository", tmp_path)
    assert [line.split()[0] for line in out.splitlines()[1:3]] == names


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("model.toml", 'versions = "some"', "not served: model.toml: versions"),
        ("model.toml", "versions = [2]", "not served: its version policy chooses none of [1]"),
        ("config.pbtxt", "no field", "not served: config.pbtxt: "),
    ],
)
def test_a_model_that_its_own_file_keeps_from_being_served_is_listed_with_the_reason(
    fovea: Fovea, tmp_path: Path, file: str, text: str, told: str
) -> None:
    (tmp_path / "mine" / "1").mkdir(parents=True)
    (tmp_path / "mine" / "1" / "model.onnx").touch()
    (tmp_path / "mine" / file).write_text(text)
    _, out, _ = fovea("models", "--repository", tmp_path)
    assert line_of("mine", out).split() == ["mine", "1", "not", "served"]
    assert f"mine 1: {told}" in out
