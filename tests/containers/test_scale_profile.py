"""Three replicas behind HAProxy, with a real engine: each serves, one dies, a version is rolled out and back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc as grpcclient

from compose_stack import MODEL, ROOT, Load, Stack, eventually, inspected, prometheus, run, stack
from fovea.client import ONCE, Retry


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "exported_models" / MODEL, folder / MODEL)
    for path in (folder.parent, folder, *folder.rglob("*")):
        path.chmod(0o755)  # the server's user is another
    return folder


@pytest.fixture(scope="module")
def scaled(models: Path) -> Iterator[Stack]:
    with stack("balancer", "prometheus", COMPOSE_PROFILES="scale", FOVEA_CPUS="1", FOVEA_MODELS=str(models)) as started:
        yield started


def up() -> int:
    """How many replicas HAProxy sends to."""
    found = prometheus('sum(haproxy_server_status{proxy="grpc",state="UP"})')
    return int(float(found[0]["value"][1])) if found else 0


def requests_by_replica() -> list[float]:
    query = f'sum by (instance) (fovea_requests_total{{model="{MODEL}",outcome="ok"}}) > 0'
    return [float(entry["value"][1]) for entry in prometheus(query)]


def test_only_the_balancer_publishes_ports(scaled: Stack) -> None:
    assert all(
        not inspected("container", one, "{{.HostConfig.PortBindings}}").strip("map[]")
        for one in scaled.containers("replica")
    )


def test_every_replica_serves_the_requests_of_one_connection(scaled: Stack) -> None:
    assert eventually(lambda: up() == len(scaled.containers("replica")) == 3)
    load = Load(ONCE)
    with load.of(callers=4):
        assert eventually(lambda: load.answered > 600)
    assert not load.failures
    assert eventually(lambda: len(requests_by_replica()) == 3)


@pytest.mark.usefixtures("scaled")
def test_tritonclient_is_answered_by_the_balancer() -> None:
    with grpcclient.InferenceServerClient("127.0.0.1:8001") as client:
        assert client.is_server_ready()
        assert client.get_model_metadata(MODEL).name == MODEL


def test_a_version_is_rolled_out_and_back_without_a_failed_request(scaled: Stack, models: Path) -> None:  # noqa: ARG001
    load = Load(ONCE)
    with load.of(callers=4):
        shutil.copytree(models / MODEL / "1", models / "2.new")
        (models / "2.new").rename(models / MODEL / "2")
        assert eventually(lambda: len(load.versions) > 50 and set(load.versions[-50:]) == {"2"})
        shutil.rmtree(models / MODEL / "2")
        assert eventually(lambda: set(load.versions[-50:]) == {"1"})
    assert not load.failures


def test_a_replica_that_is_killed_costs_a_client_that_retries_nothing(scaled: Stack) -> None:
    load = Load(Retry(attempts=5))
    first, *others = scaled.containers("replica")
    with load.of(callers=8):
        assert eventually(lambda: load.answered > 100)
        run("docker", "kill", "--signal", "KILL", first)
        before = load.answered
        assert eventually(lambda: load.answered > before + 500)
        assert eventually(lambda: up() == len(others))
        run("docker", "start", first)
        assert eventually(lambda: up() == 3)
    assert not load.failures


def test_a_replica_that_is_stopped_drains_so_that_no_request_fails(scaled: Stack) -> None:
    load = Load(ONCE)
    with load.of(callers=4):
        run("docker", "stop", "--time", "45", scaled.containers("replica")[0])
        before = load.answered
        assert eventually(lambda: load.answered > before + 200)
    assert not load.failures
