"""Time inside attention is found in a real profile, whatever the optimiser made of the bodies."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from fovea.contract.operators import DOMAIN
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loading import load_version
from fovea.runtime.profile import NodeRun, operator_seconds, profile_attention, runs_of_nodes

IMAGE = np.ones((8, 4, 8, 8), np.float32)


def load(folder: Path, **card):
    return load_version(folder, "simam", 1, LoadSettings(**card))


def node(name: str, start_us: int, duration_us: int, *, block: str | None = None, op_type: str = "Mul") -> NodeRun:
    return NodeRun(name, op_type, "0", start_us, duration_us, block)


def test_bodies_are_timed_and_other_nodes_are_not(version_folder):
    seconds = profile_attention(load(version_folder), {"image": IMAGE})
    assert list(seconds) == ["SimAM"]
    assert 0 < seconds["SimAM"] < 0.1


def test_model_without_attention_takes_no_time(tmp_path, save_model, tensor):
    save_model(
        tmp_path / "model.onnx",
        [helper.make_node("Relu", ["x"], ["y"])],
        [tensor("x", ["N", 3])],
        [tensor("y", ["N", 3])],
    )
    assert profile_attention(load(tmp_path), {"x": np.ones((1, 3), np.float32)}) == {}


def test_no_profile_file_is_left_behind(version_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    profile_attention(load(version_folder), {"image": IMAGE})
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def gated_network(version_folder, save_model, tensor, rewrite_card) -> Path:
    """Two gates whose bodies the optimiser rewrites: the convolution changes layout, Gemm and Relu are fused."""
    operator = "SpatialAttention"

    def step(op: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
        return helper.make_node(op, inputs, [output], name=f"{operator}/{output}", **attributes)

    steps = [
        step("GlobalAveragePool", ["X"], "mean"),
        step("Flatten", ["mean"], "flat"),
        step("Gemm", ["flat", "M"], "mixed"),
        step("Relu", ["mixed"], "positive"),
        step("Shape", ["mean"], "size"),
        step("Reshape", ["positive", "size"], "gate"),
        step("Mul", ["X", "gate"], "gated"),
        step("Conv", ["gated", "W"], "Map"),
        step("Mul", ["gated", "Map"], "Y"),
    ]
    body = helper.make_function(DOMAIN, operator, ["X", "W", "M"], ["Y", "Map"], steps, [helper.make_opsetid("", 21)])
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 4, 1, 1), "m": (4, 4), "outer": (4, 4, 3, 3)}
    weights = [
        onnx.numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]

    def gate(source: str, target: str) -> onnx.NodeProto:
        return helper.make_node(operator, [source, "w", "m"], [target, ""], target, domain=DOMAIN)

    nodes = [
        helper.make_node("Conv", ["image", "outer"], ["a"], "conv_a", pads=[1] * 4),
        gate("a", "b"),
        helper.make_node("Conv", ["b", "outer"], ["c"], "conv_c", pads=[1] * 4),
        gate("c", "d"),
        helper.make_node("Add", ["d", "image"], ["e"], "residual"),
        helper.make_node("Relu", ["e"], ["features"], "relu"),
    ]
    shape = ["N", *IMAGE.shape[1:]]
    for unwanted in ("golden.npz", "maps.onnx"):
        (version_folder / unwanted).unlink()
    save_model(
        version_folder / "model.onnx",
        nodes,
        [tensor("image", shape)],
        [tensor("features", shape)],
        weights=weights,
        functions=[body],
    )
    rewrite_card(version_folder)
    return version_folder


def test_fused_and_reordered_nodes_of_two_blocks_count_for_their_operator(gated_network):
    seconds = profile_attention(load(gated_network), {"image": IMAGE})
    assert list(seconds) == ["SpatialAttention"]
    assert 0 < seconds["SpatialAttention"] < 0.1


def test_typical_run_counts_rather_than_a_disturbed_one():
    runs = [[node("_inlfunc_SimAM_SimAM/mean", 0, us, block="_inlfunc_SimAM_")] for us in (10, 900, 11, 12, 10)]
    assert operator_seconds(runs) == pytest.approx({"SimAM": 11e-6})


def test_inserted_node_counts_only_between_two_nodes_of_one_block():
    block, other = "_inlfunc_CBAM_", "_inlfunc_CBAM_token_0_"
    run = [
        node("conv", 0, 5),
        node("ReorderOutput", 10, 100, op_type="ReorderOutput"),
        node("_inlfunc_CBAM_gap_nchwc", 120, 7, block=block),
        node("ReorderOutput_token_1", 130, 20, op_type="ReorderOutput"),
        node("", 155, 3, op_type="Mul"),
        node("fused _inlfunc_CBAM_CBAM/fc1", 160, 4, block=block),
        node("ReorderInput", 170, 300, op_type="ReorderInput"),
        node("_inlfunc_CBAM_token_0_gap_nchwc", 500, 6, block=other),
    ]
    assert operator_seconds([run]) == pytest.approx({"CBAM": (7 + 20 + 3 + 4 + 6) * 1e-6})


def test_sub_graph_of_a_body_is_not_counted_twice():
    run = [
        node("if", 0, 100, op_type="If"),
        node("_inlfunc_Gate_Gate/choose", 10, 50, block="_inlfunc_Gate_", op_type="If"),
        node("_inlfunc_Gate_Gate/inner", 20, 30, block="_inlfunc_Gate_"),
        node("anonymous", 52, 5),
        node("_inlfunc_Gate_Gate/after", 70, 10, block="_inlfunc_Gate_"),
    ]
    assert operator_seconds([run]) == pytest.approx({"Gate": 60e-6})


def test_local_function_of_somebody_else_is_left_out():
    def event(category: str, name: str, start_us: int) -> dict:
        details = {"op_name": "Mul", "node_index": "3"}
        return {"cat": category, "name": name, "ts": start_us, "dur": 50, "args": details}

    events = [
        event("Session", "model_run", 0),
        event("Node", "_inlfunc_Foo_Foo/step_kernel_time", 10),
        event("Node", "_inlfunc_Foo__inlfunc_SimAM_SimAM/mean_kernel_time", 20),
    ]
    assert operator_seconds(runs_of_nodes(events)) == pytest.approx({"SimAM": 50e-6})


def test_profile_is_cut_into_runs():
    def event(category: str, name: str, start_us: int, duration_us: int) -> dict:
        details = {"op_name": "CBAMAddRelu", "node_index": "3"}
        return {"cat": category, "name": name, "ts": start_us, "dur": duration_us, "args": details}

    events = [
        event("Node", "layer1_kernel_time", 10, 5),
        event("Session", "model_run", 5, 20),
        event("Node", "layer1_kernel_time", 40, 7),
        event("Session", "SequentialExecutor::Execute", 36, 20),
        event("Session", "model_run", 35, 30),
    ]
    runs = runs_of_nodes(events)
    assert [[(run.operator, run.duration_us) for run in runs_] for runs_ in runs] == [
        [("CBAMAddRelu", 5)],
        [("CBAMAddRelu", 7)],
    ]
