"""A model whose attention nobody named is not shown as the baseline, which has none: not by server, command or log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import simam_version
from fovea.cli import main
from fovea.client import Client
from fovea.contract.attention import AttentionType
from servers import RunningServer, running_server, save_model, tensor, total, wait_until

LABELS = {"attends": "unknown", "bare": "simam", "plain": "none", "said_to_be_none": "none"}
SHAPE: list[int | str] = ["n", 4, 4]


def softmax_between_products(repository: Path, name: str) -> Path:
    nodes = [
        helper.make_node("MatMul", ["x", "x"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"]),
        helper.make_node("MatMul", ["shares", "x"], ["y"]),
    ]
    return save_model(repository, name, nodes, [tensor("x", SHAPE)], [tensor("y", SHAPE)])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    softmax_between_products(root, "attends")
    save_model(root, "plain", [helper.make_node("Relu", ["x"], ["y"])], [tensor("x", SHAPE)], [tensor("y", SHAPE)])
    bare = simam_version.write_version(root / "bare" / "1")
    for name in ("card.json", "maps.onnx", "golden.npz"):
        (bare / name).unlink()
    said = softmax_between_products(root, "said_to_be_none")
    facts = {"datatype": "FP32", "shape": (-1, 4, 4)}
    simam_version.write_card(
        said,
        name="said_to_be_none",
        attention=AttentionType.NONE,
        layers=(),
        inputs=({"name": "x", **facts},),
        outputs=({"name": "y", **facts},),
        operator_version=None,
        tolerances={},
    )
    return root


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[RunningServer]:
    with running_server(repository, "--kernels=off") as running:
        yield running


def test_metadata_and_metrics_bear_the_label(server: RunningServer) -> None:
    with Client(server.grpc) as client:
        client.infer("attends", {"x": np.ones((1, 4, 4), np.float32)})
        told = {name: client.metadata(name).properties["attention"] for name in LABELS}
    assert told == LABELS
    labels = [dict(labels) for name, labels in server.samples() if name == "fovea_requests_total"]
    assert {one["model"]: one["attention"] for one in labels if one["model"] in LABELS} == LABELS


@pytest.mark.parametrize("model", ["attends", "said_to_be_none"])
def test_the_log_warns_of_what_was_not_recognised(server: RunningServer, model: str) -> None:
    (line,) = [line for line in server.errors if f"{model} version 1: attention=" in line]
    assert '"warning"' in line.lower()
    assert f"attention={LABELS[model]}: its file has what looks like attention and is not recognised: 1 x s" in line


def test_the_log_warns_of_nobody_else(server: RunningServer) -> None:
    assert not [line for line in server.errors if "not recognised" in line and ("plain" in line or "bare" in line)]


@pytest.mark.parametrize("where", ["disk", "server"])
def test_the_command_lists_them_so(
    server: RunningServer, repository: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    place = ["--repository", str(repository)] if where == "disk" else ["--server", server.grpc]
    assert main(["models", *place]) == 0
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert [row for row in rows if row and row[0] in LABELS and row[1] == "1"] == [
        [name, "1", label] for name, label in LABELS.items()
    ]


def test_a_bare_file_of_foveas_operators_has_its_attention_timed(server: RunningServer) -> None:
    with Client(server.grpc) as client:
        client.infer("bare", {"image": simam_version.images(1)})
    labels = {"model": "bare", "attention": "simam", "op": "SimAM", "kernels": "body"}
    wait_until(lambda: total(server.samples(), "fovea_attention_op_seconds_count", **labels) > 0)
