"""Fused kernels as who runs the server sees them: the ready line, metadata, metrics, and what `--kernels` does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from onnx import helper

from fovea.client import Client
from fovea.contract.attention import AttentionType
from fovea.contract.attention_layer import AttentionLayer
from fovea.contract.operators import DOMAIN
from fovea.runtime.golden import write_golden
from kernel_builds import tiny_library
from servers import RunningServer, running_server, tensor, total, wait_until
from simam_version import (
    LAMBDA,
    SHAPE,
    WEIGHTS,
    images,
    save,
    simam,
    simam_function,
    write_card,
    write_version,
)

CRASHED = "with kernels: the process that tried them ended with status -6"


@pytest.fixture(scope="module")
def build_kernels(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return partial(tiny_library, tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model of one SimAM block."""
    root = tmp_path_factory.mktemp("repository")
    write_version(root / "simam" / "1")
    return root


def write_mixed_version(folder: Path) -> None:
    """SimAM, for which the tiny libraries have a kernel, then SqueezeGate, for which they have none."""
    tanh = helper.make_node("Tanh", ["X"], ["Gate"], "SqueezeGate/gate")
    steps = [tanh, helper.make_node("Mul", ["X", "Gate"], ["Y"])]
    gate = helper.make_function(DOMAIN, "SqueezeGate", ["X"], ["Y", "Gate"], steps, [helper.make_opsetid("", 21)])
    nodes = [
        helper.make_node("SimAM", ["image"], ["mid", ""], "first", domain=DOMAIN, **{"lambda": LAMBDA}),
        helper.make_node("SqueezeGate", ["mid"], ["features", ""], "second", domain=DOMAIN),
    ]
    image, features = (tensor(name, ["N", *SHAPE]) for name in ("image", "features"))
    save(folder / "model.onnx", nodes, [image], [features], functions=[simam_function(), gate])
    mid = simam(images(4))[0]
    write_golden(folder / "golden.npz", {"image": images(4)}, {"features": mid * np.tanh(mid)}, {})
    write_card(
        folder,
        layers=(
            AttentionLayer(name="first", attention=AttentionType.SIMAM, operator="SimAM"),
            AttentionLayer(name="second", attention=AttentionType.SQUEEZE_ONLY, operator="SqueezeGate"),
        ),
    )


def infer(server: RunningServer, rows: int, *outputs: str) -> dict[str, Any]:
    image = images(rows)
    tensor = triton.InferInput("image", image.shape, "FP32")
    tensor.set_data_from_numpy(image)
    wanted = [triton.InferRequestedOutput(name) for name in outputs or ("features",)]
    with triton.InferenceServerClient(server.grpc) as client:
        answer = client.infer("simam", [tensor], outputs=wanted)
    return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}


def metadata(server: RunningServer) -> dict[str, str]:
    with Client(server.grpc) as client:
        return dict(client.metadata("simam").properties)


def series(server: RunningServer, name: str) -> dict[frozenset[tuple[str, str]], float]:
    return {labels: value for (own, labels), value in server.samples().items() if own == name}


def series_until(server: RunningServer, name: str, least: float) -> dict[frozenset[tuple[str, str]], float]:
    """Metrics are written after callers are answered."""
    wait_until(lambda: total(server.samples(), name) >= least)
    return series(server, name)


def test_every_batch_is_counted_with_what_its_kernels_took_and_nothing_else_is(
    repository: Path, build_kernels: Callable[[str], Path]
) -> None:
    with running_server(repository, f"--kernel-library={build_kernels('TALLY')}") as server:
        for rows in (1, 3, 8):
            infer(server, rows)
        infer(server, 2, "features", WEIGHTS.name)
        counts = series_until(server, "fovea_attention_op_seconds_count", 4)
        sums = series(server, "fovea_attention_op_seconds_sum")
        info = series(server, "fovea_model_info")
    labels = {"model": "simam", "version": "1", "attention": "simam", "op": "SimAM", "kernels": "fused"}
    assert counts == {frozenset(labels.items()): 4.0}
    assert sums == {frozenset(labels.items()): pytest.approx(14e-3)}
    assert [dict(facts)["kernels"] for facts in info] == ["fused"]
    assert server.ready_line.rstrip().endswith("kernels fused")


def test_without_a_tally_the_profiler_tells_what_kernels_took(
    repository: Path, build_kernels: Callable[[str], Path]
) -> None:
    with running_server(repository, "--kernels=require", f"--kernel-library={build_kernels('RIGHT')}") as server:
        infer(server, 8)
        (labels,) = series_until(server, "fovea_attention_op_seconds_count", 1)
    assert ("kernels", "fused") in labels


def test_operator_without_a_kernel_is_profiled_beside_one_that_has_a_tally(
    tmp_path: Path, build_kernels: Callable[[str], Path]
) -> None:
    write_mixed_version(tmp_path / "simam" / "1")
    with running_server(tmp_path, f"--kernel-library={build_kernels('TALLY')}") as server:
        infer(server, 8)
        infer(server, 8)
        counts = series_until(server, "fovea_attention_op_seconds_count", 3)
        told = metadata(server)
    found = {(dict(labels)["op"], dict(labels)["kernels"]): count for labels, count in counts.items()}
    assert found == {("SimAM", "fused"): 2, ("SqueezeGate", "body"): 1}
    assert (told["kernels"], told["kernels_reason"]) == ("fused", "libTALLY.so has no kernel for SqueezeGate")


@pytest.mark.parametrize(("variant", "reason"), [("WRONG", "with kernels: not the golden answers"), ("CRASH", CRASHED)])
def test_bad_kernels_are_caught_and_told_while_bodies_answer_rightly(
    repository: Path, build_kernels: Callable[[str], Path], variant: str, reason: str
) -> None:
    with running_server(repository, f"--kernel-library={build_kernels(variant)}") as server:
        answer = infer(server, 5, "features", WEIGHTS.name)
        told = metadata(server)
        (info,) = series(server, "fovea_model_info")
        listed = subprocess.run(
            [sys.executable, "-m", "fovea.cli", "models", "--server", server.grpc], capture_output=True, text=True
        ).stdout
    for array, right in zip(answer.values(), simam(images(5)), strict=True):
        np.testing.assert_allclose(array, right, rtol=0, atol=1e-5)
    assert told["kernels"] == "body"
    assert told["kernels_reason"].startswith(reason)
    assert f"kernels body ({reason}" in server.ready_line
    assert {("kernels", "body"), ("kernels_cause", "failed" if variant == "WRONG" else "crashed")} <= info
    assert f"simam 1: kernels body: {reason}" in listed


def test_kernels_that_are_off_are_not_used(repository: Path, build_kernels: Callable[[str], Path]) -> None:
    with running_server(repository, "--kernels=off", f"--kernel-library={build_kernels('RIGHT')}") as server:
        infer(server, 1)
    assert server.ready_line.rstrip().endswith("kernels body (kernels are turned off)")


def test_required_kernels_that_fail_make_the_version_unavailable_with_the_reason(
    repository: Path, build_kernels: Callable[[str], Path]
) -> None:
    with (
        running_server(repository, "--kernels=require", f"--kernel-library={build_kernels('CRASH')}") as server,
        triton.InferenceServerClient(server.grpc) as client,
    ):
        (held,) = client.get_model_repository_index().models
    assert (held.state, held.reason) == ("UNAVAILABLE", f"kernels are required: {CRASHED}")
