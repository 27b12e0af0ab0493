"""`docker compose up` with a real engine, from the outside: gRPC, health, Prometheus. Run by `make test-containers`."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest
import tritonclient.grpc as grpcclient

ROOT = Path(__file__).parents[2]
COMPOSE = ("docker", "compose", "--project-name", "fovea-test")
MODEL = "fashion-cbam"
pytestmark = pytest.mark.usefixtures("stack")


def run(*words: str) -> str:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def eventually(answer: Callable[[], Any], within_s: float = 60.0) -> Any:
    """The first true answer; the last one when time is up. A scrape takes its interval, so this has to wait."""
    until = time.monotonic() + within_s
    while not (found := answer()) and time.monotonic() < until:
        time.sleep(0.5)
    return found


def prometheus(query: str) -> list[dict[str, Any]]:
    """What it answers; nothing while it starts, as it may be when the server is healthy."""
    try:
        with urlopen(f"http://127.0.0.1:9090/api/v1/query?{urlencode({'query': query})}") as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found
    except OSError:
        return []


@pytest.fixture(scope="module")
def stack() -> Iterator[None]:
    run(*COMPOSE, "up", "--detach", "--build", "--wait")
    yield
    run(*COMPOSE, "down", "--volumes")


@pytest.fixture(scope="module")
def answered(stack: None) -> list[int]:  # noqa: ARG001
    with grpcclient.InferenceServerClient("127.0.0.1:8001") as client:
        picture = grpcclient.InferInput("input", [1, 1, 28, 28], "FP32")
        picture.set_data_from_numpy(np.zeros((1, 1, 28, 28), np.float32))
        return list(client.infer(MODEL, [picture]).as_numpy("logits").shape)


def test_a_request_through_the_published_port_is_answered(answered: list[int]) -> None:
    assert answered == [1, 10]


@pytest.mark.usefixtures("answered")
def test_the_request_is_seen_in_prometheus_under_its_attention_type() -> None:
    query = f'fovea_request_duration_seconds_count{{model="{MODEL}",attention="cbam",outcome="ok"}} > 0'
    assert eventually(lambda: prometheus(query))


@pytest.mark.usefixtures("answered")
def test_a_model_of_every_attention_type_is_ready() -> None:
    query = "count by (attention) (fovea_model_ready == 1)"
    types = {entry["metric"]["attention"] for entry in eventually(lambda: prometheus(query))}
    assert types >= {"none", "squeeze_excitation", "spatial", "cbam", "simam", "external", "multi_head"}


def test_the_container_says_it_is_healthy() -> None:
    name = run(*COMPOSE, "ps", "--quiet", "fovea").strip()
    assert run("docker", "inspect", "--format", "{{.State.Health.Status}}", name).strip() == "healthy"


def test_the_container_does_not_run_as_root() -> None:
    assert run(*COMPOSE, "exec", "-T", "fovea", "python", "-c", "import os; print(os.getuid())").strip() == "10001"


@pytest.mark.parametrize("package", ["torch", "onnx"])
def test_what_ships_has_neither_torch_nor_onnx(package: str) -> None:
    script = f"import importlib.util; print(importlib.util.find_spec({package!r}))"
    assert run(*COMPOSE, "exec", "-T", "fovea", "python", "-c", script).strip() == "None"


def test_what_ships_has_the_kernels_and_no_compiler() -> None:
    script = "import fovea, pathlib, shutil; folder = pathlib.Path(fovea.__file__).parent; print("
    script += "(folder / 'libfovea_kernels.so').exists(), shutil.which('g++'), shutil.which('cc'))"
    assert run(*COMPOSE, "exec", "-T", "fovea", "python", "-c", script).split() == ["True", "None", "None"]
    assert "kernels fused" in run(*COMPOSE, "logs", "fovea")


def test_stopping_drains_and_ends_with_status_zero() -> None:
    name = run(*COMPOSE, "ps", "--quiet", "fovea").strip()
    run(*COMPOSE, "stop", "fovea")
    assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
