"""`docker compose up` as it is, with a real engine: gRPC, health, Prometheus. Run by `make test-containers`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.grpc as grpcclient

from compose_stack import MODEL, PICTURE, Stack, eventually, inspected, prometheus, run, stack

BASE = os.environ.get("PYTHON_IMAGE", "python:3.13-slim-trixie")


@pytest.fixture(scope="module")
def cpu() -> Iterator[Stack]:
    with stack("fovea", "prometheus", COMPOSE_PROFILES="cpu", REVISION="4f0ea") as started:
        yield started


@pytest.fixture(scope="module")
def answered(cpu: Stack) -> list[int]:  # noqa: ARG001
    with grpcclient.InferenceServerClient("127.0.0.1:8001") as client:
        picture = grpcclient.InferInput("input", list(PICTURE.shape), "FP32")
        picture.set_data_from_numpy(PICTURE)
        return list(np.shape(client.infer(MODEL, [picture]).as_numpy("logits")))


def test_a_request_through_the_published_port_is_answered(answered: list[int]) -> None:
    assert answered == [1, 10]


@pytest.mark.usefixtures("answered")
def test_the_request_is_seen_in_prometheus_under_its_attention_type() -> None:
    query = f'fovea_request_duration_seconds_count{{model="{MODEL}",attention="cbam",outcome="ok"}} > 0'
    assert eventually(lambda: prometheus(query))


@pytest.mark.usefixtures("answered")
def test_every_attention_type_is_ready_in_prometheus() -> None:
    query = "count by (attention) (fovea_model_ready == 1)"
    types = {entry["metric"]["attention"] for entry in eventually(lambda: prometheus(query))}
    assert types >= {"none", "squeeze_excitation", "spatial", "cbam", "simam", "external", "multi_head"}


def test_prometheus_reads_the_rules_that_lie_beside_it(cpu: Stack) -> None:
    assert "SUCCESS" in cpu.compose(
        "exec", "-T", "prometheus", "promtool", "check", "config", "/etc/prometheus/prometheus.yml"
    )


def test_the_containers_say_that_they_are_healthy(cpu: Stack) -> None:
    for service in ("fovea", "prometheus"):
        (container,) = cpu.containers(service)
        assert inspected("container", container, "{{.State.Health.Status}}") == "healthy"


def test_the_server_runs_neither_as_root_nor_with_a_capability_nor_writes_outside_tmp(cpu: Stack) -> None:
    script = "import os, pathlib; s = pathlib.Path('/proc/self/status').read_text(); print(os.getuid(), "
    script += "[l.split()[1] for l in s.splitlines() if l.startswith('CapEff')][0], os.access('/opt', os.W_OK))"
    assert cpu.inside("fovea", script).split() == ["10001", "0" * 16, "False"]
    (container,) = cpu.containers("fovea")
    assert inspected("container", container, "{{.HostConfig.ReadonlyRootfs}}") == "true"


def test_its_locale_is_utf_8(cpu: Stack) -> None:
    assert cpu.inside("fovea", "import locale, os; print(os.environ['LANG'], locale.getencoding())") == "C.UTF-8 UTF-8"


@pytest.mark.parametrize("package", ["torch", "onnx"])
def test_what_ships_has_neither_torch_nor_onnx(cpu: Stack, package: str) -> None:
    assert cpu.inside("fovea", f"import importlib.util; print(importlib.util.find_spec({package!r}))") == "None"


def test_what_ships_has_the_kernels_and_no_compiler(cpu: Stack) -> None:
    script = "import fovea, pathlib, shutil; folder = pathlib.Path(fovea.__file__).parent; print("
    script += "(folder / 'libfovea_kernels.so').exists(), shutil.which('g++'), shutil.which('cc'))"
    assert cpu.inside("fovea", script).split() == ["True", "None", "None"]
    assert "fused" in cpu.compose("logs", "fovea")


def test_the_image_says_from_which_revision_it_was_built(cpu: Stack) -> None:  # noqa: ARG001
    assert inspected("image", "fovea:cpu", '{{index .Config.Labels "org.opencontainers.image.revision"}}') == "4f0ea"


def test_what_fovea_adds_to_the_base_image_is_less_than_300_megabytes(cpu: Stack) -> None:  # noqa: ARG001
    if BASE not in run(
        "docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"
    ):  # who built may have kept it apart
        run("docker", "pull", BASE)
    whole, base = (int(inspected("image", image, "{{.Size}}")) for image in ("fovea:cpu", BASE))
    assert whole - base < 300e6


def test_the_image_lists_every_package_in_it(cpu: Stack) -> None:
    bill = json.loads(run("docker", "run", "--rm", "--entrypoint", "cat", "fovea:cpu", "/opt/fovea/sbom.cdx.json"))
    script = "import glob, importlib.metadata as m, platform; print(platform.python_version(), *{"
    script += "one.metadata['Name'].lower().replace('_', '-') for one in m.distributions(path=["
    script += (
        "*glob.glob('/opt/fovea/lib/python3.*/site-packages'), *glob.glob('/usr/local/lib/python3.*/site-packages')])})"
    )
    version, *packages = cpu.inside("fovea", script).split()
    listed = {one["name"] for one in bill["components"] if one["purl"].startswith("pkg:pypi/")}
    assert bill["bomFormat"] == "CycloneDX"
    assert listed == set(packages) >= {"fovea-serving", "onnxruntime"}
    assert {"libc6"} < {one["name"] for one in bill["components"]}
    assert f"pkg:generic/python@{version}" in {one["purl"] for one in bill["components"]}


def test_stopping_drains_and_ends_with_status_zero(cpu: Stack) -> None:
    (container,) = cpu.containers("fovea")
    cpu.compose("stop", "fovea")
    assert inspected("container", container, "{{.State.ExitCode}}") == "0"


def test_an_alert_tells_that_the_server_is_gone() -> None:
    for alert in ("FoveaDown", "FoveaNoServer"):  # the last server of all, whose name the engine forgets
        assert eventually(lambda: prometheus(f'ALERTS{{alertname="{alert}",alertstate="firing"}}'))  # noqa: B023
