"""The command itself: version, help, flags made from the settings, errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fovea import __version__
from fovea.cli import ARMS, main
from fovea.cli.setting_flags import flag, shown_default, variable
from fovea.serving.settings import Settings

Fovea = Callable[..., tuple[int, str, str]]
INSTALL = f"{sys.executable} -m pip install -e"


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--help"])
    return " ".join(capsys.readouterr().out.split())


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"fovea {__version__}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys)
    assert all(name in text and arm.summary in text for name, arm in ARMS.items())


@pytest.mark.parametrize("name", list(ARMS))
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert f"usage: fovea {name}" in help_of(capsys, name)


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_a_flag_whose_help_tells_its_default_and_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    text = help_of(capsys, "serve")
    assert flag(name) in text
    assert f"[default: {shown_default(Settings.model_fields[name])}; {variable(name)}]" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serve", "--grpc-port", "many"], "--grpc-port (FOVEA_GRPC_PORT)"),
        (["serve", "--grpc-port", "70000"], "65535"),
        (["serve", "--device", "gpu"], "--device (FOVEA_DEVICE): expected auto, cpu, cuda or cuda:N, got 'gpu'"),
        (["serve", "--trace-file", "nowhere/x.jsonl"], "--trace-file (FOVEA_TRACE_FILE): there is no folder nowhere"),
        (["models", "--server", "http://127.0.0.1:8000"], "expected the address of a gRPC server"),
        (["health", "--server", "localhost:grpc"], "such as 127.0.0.1:8001, received 'localhost:grpc'"),
        (["export"], "fashion-cbam"),
        (["export", "nothing-known"], "nothing-known"),
        (["export", "mine.network"], "MODULE:FACTORY"),
        (["export", "some.module:factory"], "--name"),
        (["export", "--all", "some.module:factory"], "needs one MODULE:FACTORY"),
        (["export", "fashion-cbam", "--name", "mine", "--version", "2"], "--name, --version is for MODULE:FACTORY"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line(fovea: Fovea, words: list[str], told: str) -> None:
    status, out, err = fovea(*words)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert told in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serve", "--bogus"], "unrecognized arguments: --bogus"),
        (["models", "everything"], "unrecognized arguments: everything"),
        (["export", "some.module:factory", "--version", "0"], "expected a whole number from 1 on, received '0'"),
        (["infer", "m", "picture.png", "--top", "0"], "expected a whole number from 1 on, received '0'"),
        (["infer", "m", "picture.png", "--timeout", "nan"], "expected a number of seconds above 0, received 'nan'"),
        (["health", "--timeout", "-1"], "expected a number of seconds above 0, received '-1'"),
    ],
)
def test_a_flag_that_cannot_be_is_told_below_the_usage_of_its_command(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    err = capsys.readouterr().err
    assert err.startswith(f"usage: fovea {words[0]} ")
    assert err.splitlines()[-1].endswith(told)


@pytest.mark.parametrize("name", ["GRPC_PORT", "TLS_CERT", "MAX_QUEUE"])
def test_the_probe_minds_only_the_variables_that_it_needs(
    fovea: Fovea, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("FOVEA_GRPC_PORT", "1")
    monkeypatch.setenv(f"FOVEA_{name}", "many")
    status, out, err = fovea("health")
    assert status == 1
    assert (f"FOVEA_{name}" in err) == (name == "GRPC_PORT")
    assert (out == "not serving\n") == (name != "GRPC_PORT")


def test_a_variable_is_read_where_no_flag_is_given(fovea: Fovea, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEA_GRPC_PORT", "never")
    status, _, err = fovea("serve")
    assert status == 1
    assert "never" in err


@pytest.mark.parametrize(
    ("command", "package", "line"),
    [
        ("export --all", "torch", f"{INSTALL} '.[export]'"),
        ("serve --grpc-port 0", "onnxruntime", f"{INSTALL} '.[cpu]' or {INSTALL} '.[gpu]'"),
    ],
)
def test_a_command_without_its_extra_says_what_to_install(
    tmp_path: Path, command: str, package: str, line: str
) -> None:
    script = (
        f"import sys; sys.modules[{package!r}] = None; from fovea.cli import main; sys.exit(main({command.split()}))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="a scheduling policy of Linux")
def test_the_server_runs_as_a_batch_process_so_that_arrivals_do_not_interrupt_it() -> None:
    script = (
        "import os, sys; from fovea.cli.serve import let_batches_run; let_batches_run();"
        "sys.exit(os.sched_getscheduler(0) != os.SCHED_BATCH)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("heavy", ["torch", "onnx", "onnxruntime", "grpc", "PIL"])
def test_the_version_is_told_without_loading_anything_heavy(heavy: str) -> None:
    script = f"import sys, fovea.cli; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
