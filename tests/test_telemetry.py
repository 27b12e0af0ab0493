"""ONNX Runtime reports to nobody: it keeps no file in the user's cache and calls no host outside.

A home and a proxy of the tests' own see that without a tracer: where the variable is 0, both see something.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest

from raw_client import RawClient
from servers import infer_request, running_server, save_model, tensor
from simam_version import write_version

NETWORK = """
from torch import nn
from fovea.attention.simam import SimAM

def network():
    return nn.Sequential(SimAM(), nn.Flatten(), nn.Linear(12, 2))
"""
FOVEA = (sys.executable, "-m", "fovea.cli")
EXPORT = ("export", "mine:network", "--name", "mine", "--input", "picture=1x3x2x2", "--repository", "exported")
COMMANDS = {
    "doctor": (*FOVEA, "doctor", "--repository=models", "--grpc-port=0", "--http-port=0", "--metrics-port=0"),
    "models --cost": (*FOVEA, "models", "--cost", "--repository=models"),
    "export": (*FOVEA, *EXPORT),
    "library": (sys.executable, "-c", "import fovea.runtime.loading, onnxruntime"),
}
_FIRST_CALL_S = 15.0
"""Left alone, ONNX Runtime 1.32 makes its first one some ten seconds after it was imported."""


@dataclass(frozen=True)
class Surroundings:
    """Homes by program, and a proxy that leads nowhere."""

    home: Path
    proxy: socket.socket

    def environment(self, who: str, disable: str) -> dict[str, str]:
        address = f"http://127.0.0.1:{self.proxy.getsockname()[1]}"
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), address)
        return {"HOME": str(self.home / who), "XDG_CACHE_HOME": "", "ORT_DISABLE_TELEMETRY": disable, **proxies}

    @property
    def files(self) -> list[str]:
        return [str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file()]

    @property
    def calls(self) -> list[str]:
        """What was asked of the proxy."""
        try:
            caller, _ = self.proxy.accept()
        except BlockingIOError:
            return []
        with caller:
            caller.setblocking(True)
            return [caller.recv(200).decode("latin-1")]


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Surroundings]:
    monkeypatch.delenv("CI", raising=False)  # where it is set, ONNX Runtime keeps quiet by itself
    (tmp_path / "home").mkdir()
    write_version(tmp_path / "models" / "simam" / "1")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        yield Surroundings(tmp_path / "home", proxy)


def run(name: str, around: Surroundings, disable: str = "") -> None:
    folder = around.home.parent
    (folder / "mine.py").write_text(NETWORK)
    environment = {**os.environ, **around.environment(name, disable)}
    done = subprocess.run(
        COMMANDS[name], cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_command_and_no_server_leaves_a_file_or_calls_anybody(around: Surroundings) -> None:
    repository, x = around.home.parent / "models", tensor("x", ["n", 4])
    save_model(repository, "plain", [], [x], [x])
    begun_s = time.monotonic()
    with running_server(repository, environment=around.environment("serve", "")) as server:
        with grpc.insecure_channel(server.grpc) as channel:
            RawClient(channel).send("ModelInfer", infer_request("plain", np.ones((1, 4), np.float32)))
        for name in COMMANDS:
            run(name, around)
        time.sleep(max(0.0, begun_s + _FIRST_CALL_S - time.monotonic()))
        assert server.terminate() == 0
    assert (around.files, around.calls) == ([], [])


def test_an_operator_who_sets_the_variable_to_0_gets_what_she_asks_for(around: Surroundings) -> None:
    run("library", around, disable="0")
    assert "library/.cache/Microsoft" in "".join(around.files)
