"""Sequences of different lengths share a batch, and none of them notices."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from encoder_model import VOCABULARY, write_encoder
from fovea.contract.errors import ExecutionFailed, ModelBroken
from fovea.contract.lengths import DEFAULT_BUCKETS, LengthChanges, LengthSpec
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.description import specs
from fovea.runtime.device import CPU
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loading import load_chosen, load_version
from fovea.runtime.model_toml import ServingChoices
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.padded_runners import PaddedRunner
from fovea.runtime.padding import Padding
from fovea.runtime.repository import Configured, scan
from fovea.runtime.signature import Signature
from graphs import write_graph

ENCODER = LengthSpec(
    inputs={"tokens": 1},
    mask="mask",
    padding={"tokens": 3},
    outputs={"hidden": (1,), "probabilities": (2, 3)},
    buckets=(4, 8, 16),
)
mixes = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 20)), min_size=1, max_size=4)
"""Rows and length of each request of a batch."""


def tokens(rows: int, length: int) -> dict[str, np.ndarray]:
    return {"tokens": np.random.default_rng(rows * 100 + length).integers(0, VOCABULARY, (rows, length))}


@pytest.fixture(scope="module")
def encoder_file(tmp_path_factory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "encoder" / "1" / "model.onnx")


@pytest.fixture(scope="module", params=[False, True], ids=["to the longest", "to the bucket"])
def runner(request, encoder_file) -> PaddedRunner:
    return padded_runner(encoder_file, ENCODER, to_buckets=request.param)


def padded_runner(file: Path, length: LengthSpec, *, to_buckets: bool) -> PaddedRunner:
    lengths, session = {"t": length}, open_session(file, SessionSettings())
    signature = Signature(*specs(session), batched=True, max_batch_rows=16, lengths=lengths)
    return PaddedRunner(session, signature, CPU, Padding(lengths, signature.inputs, to_buckets=to_buckets))


def answers(runner: PaddedRunner, requests: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    runner.gather(requests)
    runner.run()
    parts = runner.split([len(request["tokens"]) for request in requests])
    return [{name: array.copy() for name, array in part.items()} for part in parts]


def assert_equal_answers(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].shape == array.shape
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-5)


@given(mix=mixes)
@settings(max_examples=150, deadline=None)
def test_batched_answer_equals_the_single_one(runner, encoder_file, mix):
    batch = [tokens(rows, length) for rows, length in mix]
    for found, request in zip(answers(runner, batch), batch, strict=True):
        assert_equal_answers(found, plain_answer(encoder_file, request))


def test_mask_of_a_client_is_filled_up_with_nothing(runner, encoder_file):
    own = tokens(2, 6) | {"mask": np.array([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]], np.bool_)}
    found, _ = answers(runner, [own, tokens(1, 8)])
    assert_equal_answers(found, plain_answer(encoder_file, own))


def test_padding_ratio_is_the_share_of_filling_in_a_batch(runner):
    runner.gather([tokens(1, 8), tokens(2, 5)])
    assert runner.padding_ratio == pytest.approx(6 / 24)


@pytest.mark.parametrize(("to_buckets", "ratio"), [(False, 0.0), (True, 3 / 8)])
def test_one_sequence_alone_is_filled_up_only_where_buckets_are_asked_for(encoder_file, to_buckets, ratio):
    runner = padded_runner(encoder_file, ENCODER, to_buckets=to_buckets)
    runner.gather([tokens(1, 5)])
    assert runner.padding_ratio == pytest.approx(ratio)


def test_filling_leaves_an_input_without_a_length_alone(save_model, tensor, tmp_path):
    nodes = [helper.make_node("Mul", ["x", "scale"], ["y"])]
    x, scale, y = tensor("x", ["n", "t"]), tensor("scale", ["n", 1]), tensor("y", ["n", "t"])
    model = save_model(tmp_path / "model.onnx", nodes, [x, scale], [y])
    runner = padded_runner(model, LengthSpec(inputs={"x": 1}, outputs={"y": (1,)}), to_buckets=False)
    runner.gather([_scaled([1, 2, 3], 2), _scaled([4], 10)])
    runner.run()
    first, second = runner.split([1, 1])
    assert first["y"].tolist() == [[2, 4, 6]]
    assert second["y"].tolist() == [[40]]


@pytest.mark.parametrize("mask_type", [TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.FLOAT16])
def test_half_floats_are_filled_up_and_any_kind_of_mask_is_made(save_model, tensor, tmp_path, mask_type):
    nodes = [helper.make_node("Cast", ["mask"], ["half"], to=TensorProto.FLOAT16)]
    nodes.append(helper.make_node("Mul", ["x", "half"], ["seen"]))
    nodes.append(helper.make_node("Constant", [], ["along"], value_ints=[1]))
    nodes.append(helper.make_node("ReduceMax", ["x", "along"], ["most"]))
    x, mask = tensor("x", ["n", "t"], TensorProto.FLOAT16), tensor("mask", ["n", "t"], mask_type)
    outputs = [tensor("seen", ["n", "t"], TensorProto.FLOAT16), tensor("most", ["n", 1], TensorProto.FLOAT16)]
    model = save_model(tmp_path / "model.onnx", nodes, [x, mask], outputs)
    sequence = LengthSpec(inputs={"x": 1}, mask="mask", padding={"x": 9}, outputs={"seen": (1,)}, buckets=(4, 8))
    runner = padded_runner(model, sequence, to_buckets=False)
    runner.gather([{"x": np.array([[1, 2, 3, 4]], np.float16)}, {"x": np.array([[5, 6], [7, 8]], np.float16)}])
    runner.run()
    long, short = runner.split([1, 2])
    assert (long["seen"].tolist(), short["seen"].tolist()) == ([[1, 2, 3, 4]], [[5, 6], [7, 8]])
    assert (long["most"].tolist(), short["most"].tolist()) == ([[4]], [[9], [9]])


def _scaled(row: list[float], scale: float) -> dict[str, np.ndarray]:
    return {"x": np.array([row], np.float32), "scale": np.array([[scale]], np.float32)}


@pytest.mark.parametrize("length", [2, 3], ids=["in a bucket", "beyond the last"])
def test_output_that_is_not_as_long_as_its_sequence_is_an_error(save_model, tensor, tmp_path, length):
    nodes = [helper.make_node("Concat", ["x", "x"], ["y"], axis=1)]
    model = save_model(tmp_path / "model.onnx", nodes, [tensor("x", ["n", "t"])], [tensor("y", ["n", "u"])])
    sequence = LengthSpec(inputs={"x": 1}, outputs={"y": (1,)}, buckets=(2,))
    runner = padded_runner(model, sequence, to_buckets=False)
    with pytest.raises(ExecutionFailed, match="y"):
        _run(runner, {"x": np.zeros((1, length), np.float32)})


def _run(runner: PaddedRunner, request: dict[str, np.ndarray]) -> None:
    runner.gather([request])
    runner.run()
    runner.split([1])


def plain_answer(file: Path, request: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What ONNX Runtime says of one request by itself, with a mask that is open where none was sent."""
    mask = request.get("mask", np.ones(request["tokens"].shape, np.bool_))
    session = _plain_session(file)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {**request, "mask": mask}), strict=True))


@cache
def _plain_session(file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(file)


def with_length(changes: LengthChanges) -> Configured:
    """What a model.toml with one length, called t, says."""
    return Configured(ServingChoices(lengths={"t": changes}))


def test_sequences_whose_answer_padding_changes_share_batches_with_equal_lengths_only(save_model, tensor, tmp_path):
    nodes = [helper.make_node("ReduceMax", ["x", "axes"], ["y"], keepdims=0)]
    axes = onnx.numpy_helper.from_array(np.array([1]), "axes")
    x, y = tensor("x", ["n", "t"]), tensor("y", ["n"])
    save_model(tmp_path / "1" / "model.onnx", nodes, [x], [y], weights=[axes])
    load = partial(load_version, tmp_path / "1", "largest", 1, LoadSettings())
    harmed = load(with_length(LengthChanges(inputs={"x": 1}, padding={"x": 2})))
    assert harmed.card.batched
    assert not harmed.card.lengths["t"].padded
    assert "only requests of the same length 't' share batches: padding from 8 to 12 changes y" in harmed.batching
    unharmed = load(with_length(LengthChanges(inputs={"x": 1}, padding={"x": -1})))
    assert (unharmed.card.lengths["t"].padded, unharmed.batching) == (True, "")


def test_buckets_beyond_what_a_model_takes_are_told(save_model, tensor, tmp_path):
    positions = onnx.numpy_helper.from_array(np.zeros((1, 20), np.float32), "positions")
    nodes = [
        helper.make_node("Shape", ["x"], ["end"], start=1),
        helper.make_node("Slice", ["positions", "zero", "end", "axis"], ["known"]),
        helper.make_node("Add", ["x", "known"], ["y"]),
    ]
    zero, axis = (onnx.numpy_helper.from_array(np.array([n]), name) for n, name in ((0, "zero"), (1, "axis")))
    x, y = tensor("x", ["n", "t"]), tensor("y", ["n", "t"])
    save_model(tmp_path / "1" / "model.onnx", nodes, [x], [y], weights=[positions, zero, axis])
    changes = LengthChanges(inputs={"x": 1}, outputs={"y": (1,)})
    with pytest.raises(ModelBroken, match="buckets: t 24 cannot be run"):
        load_version(tmp_path / "1", "positions", 1, LoadSettings(), with_length(changes))


def test_bucket_that_needs_more_memory_than_a_trial_may_use_is_refused(save_model, tensor, tmp_path):
    nodes = [
        helper.make_node("Unsqueeze", ["x", "two"], ["column"]),
        helper.make_node("Unsqueeze", ["x", "one"], ["row"]),
        helper.make_node("Mul", ["column", "row"], ["y"]),
    ]
    one, two = (onnx.numpy_helper.from_array(np.array([axis]), name) for axis, name in ((1, "one"), (2, "two")))
    x, y = tensor("x", ["n", "t"]), tensor("y", ["n", "t", "t"])
    save_model(tmp_path / "1" / "model.onnx", nodes, [x], [y], weights=[one, two])
    changes = LengthChanges(inputs={"x": 1}, outputs={"y": (1, 2)}, buckets=(8, 200_000))
    with pytest.raises(ModelBroken, match="memory"):
        load_version(tmp_path / "1", "square", 1, LoadSettings(), with_length(changes))


PAIR = {
    "source": LengthSpec(inputs={"src": 1, "bias": 2}, mask="src_mask", outputs={"map": (2,)}, buckets=(4, 8)),
    "target": LengthSpec(
        inputs={"tgt": 1, "bias": 1}, padding={"tgt": 7}, outputs={"y": (1,), "map": (1,)}, buckets=(3, 9)
    ),
}
PAIR_INPUTS = [
    TensorSpec(name="src", datatype="FP32", shape=(-1, -1)),
    TensorSpec(name="src_mask", datatype="BOOL", shape=(-1, -1)),
    TensorSpec(name="tgt", datatype="INT32", shape=(-1, -1, 2)),
    TensorSpec(name="bias", datatype="FP32", shape=(-1, -1, -1)),
]
pair_mixes = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 10), st.integers(1, 11)), min_size=1, max_size=4)
"""Rows, source and target of each request of a batch."""


def pair_request(rows: int, source: int, target: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng((rows, source, target))
    return {
        "src": random.random((rows, source), np.float32),
        "tgt": random.integers(0, 7, (rows, target, 2), np.int32),
        "bias": random.random((rows, target, source), np.float32),
    }


@given(mix=pair_mixes, to_buckets=st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_is_filled_up_along_two_lengths_comes_back_as_it_was(mix, to_buckets):
    """Of a model that gives back what it gets."""
    padding = Padding(PAIR, PAIR_INPUTS, to_buckets=to_buckets)
    requests = [pair_request(*one) for one in mix]
    inputs = padding.joined(requests)
    batch = padding.batch(requests)
    parts = padding.cut({"y": inputs["tgt"], "map": inputs["bias"]}, batch.rows_each, batch.lengths_each)
    for part, request in zip(parts, requests, strict=True):
        np.testing.assert_array_equal(part["y"], request["tgt"])
        np.testing.assert_array_equal(part["map"], request["bias"])


@given(mix=pair_mixes, to_buckets=st.booleans())
@settings(max_examples=50, deadline=None)
def test_filling_and_masks_are_where_no_request_has_data(mix, to_buckets):
    padding = Padding(PAIR, PAIR_INPUTS, to_buckets=to_buckets)
    requests = [pair_request(*one) for one in mix]
    inputs, start, data = padding.joined(requests), 0, 0
    for rows, source, target in mix:
        own = {name: array[start : start + rows] for name, array in inputs.items()}
        start += rows
        assert own["src_mask"][:, :source].all()
        assert not own["src_mask"][:, source:].any()
        assert (own["tgt"][:, target:] == 7).all()
        assert not own["bias"][:, target:].any()
        assert not own["bias"][:, :, source:].any()
        data += rows * (2 * source + 2 * target + source * target)
    elements = sum(array.size for array in inputs.values())
    assert padding.padding_ratio(padding.batch(requests)) == pytest.approx(1 - data / elements)


PRODUCTS = """(float[n,s] a, bool[n,s] seen, float[n,t] b) => (float[n,t] y, float[n,t,s] m) {
    f = Cast<to = 1>(seen) k = Constant<value_ints = [1]>() l = Constant<value_ints = [2]>()
    g = Mul(a, f) h = ReduceSum(g, k) y = Add(b, h) c = Unsqueeze(g, k) d = Unsqueeze(b, l) m = Mul(d, c) }"""
PRODUCT_LENGTHS = {
    "source": LengthSpec(inputs={"a": 1}, mask="seen", outputs={"m": (2,)}, padding={"a": 5}, buckets=(4, 8)),
    "target": LengthSpec(inputs={"b": 1}, outputs={"y": (1,), "m": (1,)}, buckets=(3, 9)),
}


@pytest.fixture(scope="module", params=[False, True], ids=["to the longest", "to the buckets"])
def products(request, tmp_path_factory) -> PaddedRunner:
    session = open_session(write_graph(tmp_path_factory.mktemp("pair") / "model.onnx", PRODUCTS), SessionSettings())
    signature = Signature(*specs(session), batched=True, max_batch_rows=12, lengths=PRODUCT_LENGTHS)
    padding = Padding(PRODUCT_LENGTHS, signature.inputs, to_buckets=request.param)
    return PaddedRunner(session, signature, CPU, padding)


@given(mix=pair_mixes)
@settings(max_examples=60, deadline=None)
def test_batches_of_two_lengths_in_and_beyond_their_buckets_give_each_request_its_own(products, mix):
    random = np.random.default_rng(0)
    requests = [{"a": random.random((n, s), np.float32), "b": random.random((n, t), np.float32)} for n, s, t in mix]
    products.gather(requests)
    products.run()
    for found, request in zip(products.split([n for n, *_ in mix]), requests, strict=True):
        a, b = request["a"], request["b"]
        np.testing.assert_allclose(found["y"], b + a.sum(1, keepdims=True), rtol=1e-5)
        np.testing.assert_allclose(found["m"], b[:, :, None] * a[:, None, :], rtol=1e-6)


def test_a_request_of_a_model_that_does_not_batch_gets_the_masks_that_it_does_not_send():
    lengths = {name: length.model_copy(update={"mask": f"{name}_mask"}) for name, length in PAIR.items()}
    masks = [TensorSpec(name=f"{name}_mask", datatype="INT64", shape=(-1, -1)) for name in lengths]
    padding = Padding(lengths, [*PAIR_INPUTS, *masks], to_buckets=False)
    own = {"source_mask": np.zeros((1, 6), np.int64)}
    whole = padding.whole(pair_request(1, 6, 2) | own)
    assert whole["source_mask"] is own["source_mask"]
    assert (whole["target_mask"].tolist(), whole["target_mask"].dtype) == ([[1, 1]], np.int64)


def served_lengths(save_model, tensor, folder: Path, text: str) -> dict[str, LengthSpec]:
    """Of a model of two inputs, with this model.toml."""
    nodes = [helper.make_node("Neg", ["a"], ["x"]), helper.make_node("Neg", ["b"], ["y"])]
    tensors = {name: tensor(name, ["n", size]) for name, size in (("a", "s"), ("b", "t"), ("x", "s"), ("y", "t"))}
    save_model(folder / "pair" / "1" / "model.onnx", nodes, [tensors["a"], tensors["b"]], [tensors["x"], tensors["y"]])
    (folder / "pair" / "model.toml").write_text(text)
    return load_chosen(scan(folder)["pair"], 1, LoadSettings()).card.lengths


SOURCE_ONLY = "inputs = {a = 1}\noutputs = {x = [1], y = []}\nbuckets = [8, 12]\n"
BOTH = """
[lengths.source]
inputs = {a = 1}
outputs = {x = [1]}
[lengths.target]
inputs = {b = 1}
outputs = {y = [1]}
buckets = [4, 6]
padded = false
"""


def test_model_toml_has_tables_for_lengths_or_one_for_the_only_one(save_model, tensor, tmp_path):
    served = partial(served_lengths, save_model, tensor)
    old, new = (
        served(tmp_path / "old", "[sequence]\n" + SOURCE_ONLY),
        served(tmp_path / "new", "[lengths.s]\n" + SOURCE_ONLY),
    )
    assert (list(old), list(new)) == (["sequence"], ["s"])
    assert old["sequence"] == new["s"]
    both = served(tmp_path / "both", BOTH)
    assert {name: (length.buckets, length.padded) for name, length in both.items()} == {
        "source": (DEFAULT_BUCKETS, True),
        "target": ((4, 6), False),
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOTH + "[sequence]\n" + SOURCE_ONLY, r"\[sequence\] and \[lengths.source\]: say one of them"),
        (BOTH.replace("b = 1", "a = 1"), "model.toml: lengths.target: inputs: axis 1 of 'a' is of the length 'source'"),
        (BOTH.replace("{y = [1]}", "{}"), "model.toml: lengths.source: outputs: say which axes of 'y'"),
        (BOTH.replace("lengths.source", "lengths.so-urce"), "model.toml: lengths"),
        (BOTH.replace("[4, 6]", "[6, 4]"), "model.toml: lengths.target.buckets: "),
    ],
)
def test_lengths_in_model_toml_that_cannot_be_are_told(save_model, tensor, tmp_path, text, told):
    with pytest.raises(ModelBroken, match=told):
        served_lengths(save_model, tensor, tmp_path, text)
