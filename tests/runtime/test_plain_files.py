"""A file that nobody vouches for is served if it can be; if it is damaged or hostile there is a reason, and no harm."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fovea.contract.attention import AttentionType
from fovea.contract.errors import ModelBroken
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.loading import load_version
from fovea.runtime.model_toml import ServingChoices
from fovea.runtime.probe import ProbeLimits
from fovea.runtime.repository import Configured


def load(path: Path, limits: ProbeLimits | None = None) -> LoadedVersion:
    return load_version(path.parent, "plain", 1, LoadSettings(max_batch_rows=4, probe=limits or ProbeLimits()))


def refusal(path: Path, limits: ProbeLimits | None = None) -> str:
    with pytest.raises(ModelBroken) as refused:
        load(path, limits)
    assert "\n" not in str(refused.value)
    assert str(path.parent) not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def model(tmp_path) -> Path:
    return tmp_path / "model.onnx"


@pytest.fixture
def doubling(model, save_model, tensor) -> Path:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    return save_model(model, [node], [tensor("x", ["N", 3])], [tensor("y", ["N", 3])])


def test_plain_file_is_served_from_what_it_says_of_itself(doubling):
    version = load(doubling)
    card = version.card
    assert (card.name, card.attention, card.layers, card.batched) == ("plain", "none", (), True)
    assert [(spec.name, spec.datatype, spec.shape) for spec in card.inputs] == [("x", "FP32", (-1, 3))]
    assert (version.kernels, version.session.max_batch_rows) == ("none", 4)
    assert version.session.infer({"x": np.ones((2, 3), np.float32)})["y"].tolist() == [[2, 2, 2]] * 2


def test_file_of_fixed_size_does_not_batch(model, save_model, tensor):
    node = helper.make_node("Add", ["x", "x"], ["y"])
    version = load(save_model(model, [node], [tensor("x", [2, 3])], [tensor("y", [2, 3])]))
    assert not version.card.batched
    assert version.session.infer({"x": np.ones((2, 3), np.float32)})["y"].tolist() == [[2, 2, 2]] * 2


def test_open_first_axis_that_mixes_rows_is_no_batch(model, save_model, tensor):
    node = helper.make_node("ReduceSum", ["x"], ["y"], keepdims=1)
    assert not load(save_model(model, [node], [tensor("x", ["N"])], [tensor("y", ["M"])])).card.batched


def test_rows_that_meet_in_a_mean_are_no_batch(model, save_model, tensor):
    axis = helper.make_tensor("value", TensorProto.INT64, [1], [0])
    nodes = [
        helper.make_node("Constant", [], ["axis"], value=axis),
        helper.make_node("ReduceMean", ["x", "axis"], ["mean"]),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    assert not load(save_model(model, nodes, [tensor("x", ["N", 3])], [tensor("y", ["N", 3])])).card.batched


def test_rows_of_numbers_and_truths_batch(model, save_model, tensor):
    nodes = [helper.make_node("Where", ["on", "x", "z"], ["y"]), helper.make_node("Identity", ["n"], ["m"])]
    inputs = [
        tensor("on", ["N", 3], TensorProto.BOOL),
        tensor("x", ["N", "T"]),
        tensor("z", ["N", 1]),
        tensor("n", ["N"], TensorProto.INT64),
    ]
    outputs = [tensor("y", ["N", 3]), tensor("m", ["N"], TensorProto.INT64)]
    assert load(save_model(model, nodes, inputs, outputs)).card.batched


def test_attention_operators_without_a_card_run_from_their_bodies(version_folder):
    (version_folder / "card.json").unlink()
    version = load(version_folder / "model.onnx")
    assert version.kernels == "body"
    assert (version.card.attention, version.profiled_operators) == ("simam", {"SimAM"})
    assert [(layer.name, layer.attention, layer.operator) for layer in version.card.layers] == [
        ("block", "simam", "SimAM")
    ]
    assert version.session.infer({"image": np.zeros((1, 4, 8, 8), np.float32)})["features"].max() == 0


def test_attention_that_nothing_recognises_has_the_label_that_its_owner_gives_it(model, save_model, tensor, caplog):
    nodes = [helper.make_node("Softmax", ["x"], ["p"]), helper.make_node("MatMul", ["p", "v"], ["y"])]
    inputs = [tensor("x", ["N", 2, 3]), tensor("v", ["N", 3, 4])]
    save_model(model, nodes, inputs, [tensor("y", ["N", 2, 4])])
    assert load(model).card.attention is AttentionType.UNKNOWN
    assert "looks like attention" in caplog.messages[0]
    caplog.clear()
    said = Configured(ServingChoices(attention=AttentionType.OTHER))
    labelled = load_version(model.parent, "plain", 1, LoadSettings(max_batch_rows=4), said)
    assert (labelled.card.attention, caplog.messages) == (AttentionType.OTHER, [])


@pytest.mark.parametrize("content", [b"", b"version https://example.org/large-file\n", b"\x08\x0a" * 50, b"\0" * 4096])
def test_file_that_is_no_model_is_refused(model, content):
    model.write_bytes(content)
    assert refusal(model).startswith("model.onnx: ")


def test_truncated_file_is_refused(doubling):
    doubling.write_bytes(doubling.read_bytes()[:-20])
    assert refusal(doubling).startswith("model.onnx: ")


@pytest.mark.parametrize("wanted", [[7], [7, 7]])
def test_floats_of_known_sizes_that_cannot_be_run_are_refused(model, save_model, tensor, wanted):
    sizes = helper.make_node("Constant", [], ["sizes"], value_ints=wanted)
    reshape = helper.make_node("Reshape", ["x", "sizes"], ["y"])
    told = refusal(save_model(model, [sizes, reshape], [tensor("x", ["N", 3])], [tensor("y", wanted)]))
    assert told.startswith("model.onnx: made-up rows fail: ")


def test_whole_numbers_may_be_sizes_and_are_not_refused_for_made_up_ones(model, save_model, tensor):
    ones = helper.make_node("Constant", [], ["ones"], value_floats=[1.0] * 6)
    reshape = helper.make_node("Reshape", ["ones", "x"], ["y"])
    version = load(save_model(model, [ones, reshape], [tensor("x", [2], TensorProto.INT64)], [tensor("y", ["A", "B"])]))
    assert version.session.infer({"x": np.array([2, 3])})["y"].shape == (2, 3)


def test_unknown_operator_is_named(model, tensor):
    node = helper.make_node("Teleport", ["x"], ["y"], domain="org.example")
    graph = helper.make_graph([node], "graph", [tensor("x", [1])], [tensor("y", [1])])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("org.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), model)
    assert "Teleport" in refusal(model)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname"])
def test_weights_outside_the_folder_are_refused(tmp_path, tensor, location):
    (tmp_path / "secret.bin").write_bytes(bytes(12))
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3], bytes(12), raw=True)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    node = helper.make_node("Add", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "graph", [tensor("x", ["N", 3])], [tensor("y", ["N", 3])], [weights])
    model = tmp_path / "1" / "model.onnx"
    model.parent.mkdir()
    model.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
    )
    assert refusal(model).startswith("model.onnx: ")


def test_input_of_absurd_size_is_refused(model, save_model, tensor):
    node = helper.make_node("Add", ["x", "x"], ["y"])
    size = [2**20, 2**20]
    assert refusal(save_model(model, [node], [tensor("x", size)], [tensor("y", size)])) == (
        "model.onnx: it needs more memory than a model may use while it is tried (trial_memory_mb sets how much)"
    )


def test_file_that_fills_memory_is_refused(model, save_model, tensor):
    size = helper.make_tensor("value", TensorProto.INT64, [2], [2**19, 2**19])
    nodes = [
        helper.make_node("Constant", [], ["size"], value=size),
        helper.make_node("ConstantOfShape", ["size"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    assert refusal(save_model(model, nodes, [tensor("x", [1])], [tensor("y", [1])])).startswith("model.onnx: ")


def test_file_that_never_ends_is_refused(model, save_model, tensor):
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["on_again"]),
            helper.make_node("Sin", ["value"], ["next"]),
        ],
        "forever",
        [tensor("i", [], TensorProto.INT64), tensor("on", [], TensorProto.BOOL), tensor("value", [1])],
        [tensor("on_again", [], TensorProto.BOOL), tensor("next", [1])],
    )
    true = helper.make_tensor("value", TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["true"], value=true),
        helper.make_node("Loop", ["", "true", "x"], ["y"], body=body),
    ]
    path = save_model(model, nodes, [tensor("x", [1])], [tensor("y", [1])])
    assert re.search("within 2 s|ended with status", refusal(path, ProbeLimits(seconds=2)))


def test_process_that_cannot_even_begin_is_a_reason_too(doubling):
    assert refusal(doubling, ProbeLimits(memory_bytes=1 << 20)).startswith("model.onnx: ")


@pytest.fixture
def large(model, tensor) -> Path:
    """A product with 300 MB of weights, in a file of their own."""
    rows = 75_000
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[rows, 1024], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "weights.bin"), ("length", str(rows * 4096))):
        weights.external_data.add(key=key, value=value)
    with (model.parent / "weights.bin").open("wb") as file:
        file.truncate(rows * 4096)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "large", [tensor("x", ["N", rows])], [tensor("y", ["N", 1024])], [weights])
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    model.write_bytes(whole.SerializeToString())
    return model


def test_what_the_trial_may_use_grows_with_all_files_of_a_version(large):
    assert load(large, ProbeLimits(memory_bytes=700 << 20)).card.inputs[0].shape == (-1, 75_000)


def test_what_runs_out_of_memory_while_it_is_tried_is_told_the_setting(model, save_model, tensor):
    times = helper.make_tensor("times", TensorProto.INT64, [2], [1, 1 << 28])
    nodes = [helper.make_node("Tile", ["x", "times"], ["wide"]), helper.make_node("ReduceMax", ["wide"], ["y"])]
    save_model(model, nodes, [tensor("x", ["N", 3])], [tensor("y", [1, 1])], weights=[times])
    assert "trial_memory_mb" in refusal(model, ProbeLimits(memory_bytes=1 << 30))


@pytest.mark.parametrize(
    ("defaults", "choices", "who"),
    [({"max_batch_rows": 1}, {}, "the server's max_batch_rows"), ({}, {"max_batch_rows": 1}, "model.toml")],
)
def test_who_lets_a_batch_have_one_row_is_the_reason_why_there_are_no_batches(doubling, defaults, choices, who):
    said = Configured(ServingChoices(**choices))
    loaded = load_version(doubling.parent, "plain", 1, LoadSettings(**defaults), said)
    assert loaded.batching == f"not batched: by {who} a batch has one row"
