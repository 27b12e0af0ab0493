"""Rows that influence each other are seen, by however little and whatever it takes; rows that do not are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from fovea.contract.lengths import LengthSpec, NamedLengths
from fovea.runtime.description import specs
from fovea.runtime.device import CPU
from fovea.runtime.golden import Golden
from fovea.runtime.graph_doubts import doubtful_operator, unexplained_axis
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.row_mixing import check_rows
from fovea.runtime.row_samples import RowSamples
from fovea.runtime.row_verdicts import RowVerdict
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature
from graphs import write_graph
from one_node import model_of, normal

APART = {
    "a network on pictures of any size": """(float[n,3,h,w] x, float[n,2] z) => (float[n,3,h,w] y) {
        a = Constant<value_ints = [1, 2, 3]>() m = ReduceMean(x, a) c = Sub(x, m) y = Tanh(c) }""",
    "embeddings of a small vocabulary": """(int64[n,t] i) => (float[n,1,3] y) {
        w = Constant<value = float[3,3] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0, 8.0}>()
        e = Gather(w, i) a = Constant<value_ints = [1]>() y = ReduceMean(e, a) }""",
    "a receptive field of 400 samples": """(float[n,t] x) => (float[n,1,f] y) {
        a = Constant<value_ints = [1]>() u = Unsqueeze(x, a)
        s = Constant<value_ints = [1, 1, 400]>() k = ConstantOfShape<value = float[1] {0.1}>(s)
        y = Conv<strides = [160]>(u, k) }""",
    "lengths that are multiples of 64": """(float[n,t] x) => (float[n,w] y) {
        s = Constant<value_ints = [0, -1, 64]>() r = Reshape(x, s)
        a = Constant<value_ints = [2]>() y = ReduceMean<keepdims = 0>(r, a) }""",
    "logarithms": "(float[n,4] x) => (float[n,4] y) { y = Log(x) }",
    "whole numbers in bytes": "(uint8[n,3] x) => (uint8[n,3] y) { y = Identity(x) }",
    "texts": "(string[n,2] x) => (string[n,2] y) { y = Identity(x) }",
    "a number of each row": "(float[n] x) => (float[n] y) { y = Neg(x) }",
    "half precision": "(float16[n,8] x) => (float16[n,8] y) { y = Softmax(x) }",
}
MIXED = {
    "softmax over the batch": "(float[n,4] x) => (float[n,4] y) { y = Softmax<axis = 0>(x) }",
    "a mean of the batch": """(float[n,4] x) => (float[n,4] y) {
        a = Constant<value_ints = [0]>() m = ReduceMean(x, a) y = Sub(x, m) }""",
    "a mean of the batch that weighs 3e-5": """(float[n,4] x) => (float[n,4] y) { a = Constant<value_ints = [0]>()
        m = ReduceMean(x, a) w = Constant<value_float = 0.00003>() s = Mul(m, w) y = Sub(x, s) }""",
    "a small output beside a large one": """(float[n,4] x) => (float[n,8] y) { a = Constant<value_ints = [0]>()
        m = ReduceMean(x, a) d = Sub(x, m) w = Constant<value_float = 1e8>() l = Mul(x, w)
        y = Concat<axis = 1>(l, d) }""",
    "a sum up to the row": """(float[n,4] x) => (float[n,4] y) {
        a = Constant<value_int = 0>() y = CumSum(x, a) }""",
    "rows in another order": """(float[n,4] x) => (float[n,4] y) { a = Constant<value_ints = [-1]>()
        z = Constant<value_ints = [0]>() e = Constant<value_ints = [-100000]>() y = Slice(x, a, e, z, a) }""",
    "rows turned by three": """(float[n,4] x) => (float[n,4] y) { z = Constant<value_ints = [0]>()
        a = Constant<value_ints = [3]>() l = Constant<value_ints = [100000]>()
        t = Slice(x, a, l, z) h = Slice(x, z, a, z) y = Concat<axis = 0>(t, h) }""",
    "the best rows first": """(float[n,4] x) => (float[n,4] y) {
        k = Shape<end = 1>(x) y, i = TopK<axis = 0>(x, k) }""",
    "a position of the row": """(float[n,4] x) => (float[n,4] y) { a = Constant<value_int = 0>()
        b = Constant<value_int = 1>() k = Shape<end = 1>(x) n = Squeeze(k) r = Range(a, n, b)
        f = Cast<to = 1>(r) c = Constant<value_ints = [1]>() u = Unsqueeze(f, c) y = Add(x, u) }""",
    "a recurrence along the first axis": """(float[n,1,2] x) => (float[n,1,1,1] y) {
        w = Constant<value = float[1,1,2] {0.5, 0.3}>() r = Constant<value = float[1,1,1] {0.7}>()
        y, h = RNN<hidden_size = 1>(x, w, r) }""",
    "only what is above 100": """(float[n,4] x) => (float[n,4] y) { h = Constant<value_float = 100.0>()
        d = Sub(x, h) r = Relu(d) m = ReduceMax<keepdims = 0>(r) y = Sub(x, m) }""",
    "only whole numbers above 50": """(int64[n,t] i) => (int64[n,t] y) { h = Constant<value_int = 50>()
        m = ReduceMax<keepdims = 0>(i) g = Greater(m, h) c = Cast<to = 7>(g) y = Add(i, c) }""",
    "only what is longer than 100": """(float[n,t] x) => (float[n,t] y) { a = Constant<value_ints = [0]>()
        k = Shape<start = 1>(x) h = Constant<value_ints = [100]>() g = Greater(k, h) c = Cast<to = 1>(g)
        m = ReduceMean(x, a) d = Mul(m, c) y = Add(x, d) }""",
    "only what is longer than 100 and shorter than 300": """(float[n,t] x) => (float[n,t] y) {
        a = Constant<value_ints = [0]>() k = Shape<start = 1>(x) l = Constant<value_ints = [100]>() g = Greater(k, l)
        h = Constant<value_ints = [300]>() s = Less(k, h) b = And(g, s) c = Cast<to = 1>(b)
        m = ReduceMean(x, a) d = Mul(m, c) y = Add(x, d) }""",
    "only what is shorter than 4": """(float[n,t] x) => (float[n,t] y) { a = Constant<value_ints = [0]>()
        k = Shape<start = 1>(x) h = Constant<value_ints = [4]>() g = Less(k, h) c = Cast<to = 1>(g)
        m = ReduceMean(x, a) d = Mul(m, c) y = Add(x, d) }""",
    "only negative numbers": """(float[n,4] x) => (float[n,4] y) { z = Constant<value_float = 0.0>()
        m = ReduceMin<keepdims = 0>(x) c = Min(m, z) y = Add(x, c) }""",
    "the darkest byte": """(uint8[n,3,h,w] x) => (float[n,3,h,w] y) {
        f = Cast<to = 1>(x) m = ReduceMax<keepdims = 0>(f) y = Div(f, m) }""",
    "only numbers below zero, which are whole": """(int64[n,t] i) => (float[n] y) { z = Constant<value_int = 0>()
        g = GreaterOrEqual(i, z) c = Cast<to = 1>(g) a = Constant<value_ints = [1]>() s = ReduceSum<keepdims = 0>(c, a)
        m = ReduceMax(s) f = Cast<to = 1>(i) u = ReduceSum<keepdims = 0>(f, a) y = Div(u, m) }""",
    "only equal rows": """(float[n,4] x) => (float[n,4] y) { a = Constant<value_ints = [0]>()
        b = Constant<value_ints = [1]>() l = Unsqueeze(x, a) r = Unsqueeze(x, b) d = Sub(l, r) q = Abs(d)
        k = Constant<value_ints = [2]>() s = ReduceSum<keepdims = 0>(q, k) z = Constant<value_float = 0.0>()
        e = Equal(s, z) c = Cast<to = 1>(e) w = ReduceSum(c, b) y = Div(x, w) }""",
    "the row of eight places before": """(float[n,4] x) => (float[n,4] y) { p = Constant<value_ints = [8, 0, 0, 0]>()
        h = Pad(x, p) z = Constant<value_ints = [0]>() k = Shape<end = 1>(x) t = Slice(h, z, k, z) y = Add(x, t) }""",
    "an expert that takes twelve rows": """(float[n,4] x) => (float[n,4] y) { m = ArgMax<axis = 1, keepdims = 0>(x)
        d = Constant<value_ints = [4]>() v = Constant<value_floats = [0.0, 1.0]>() o = OneHot(m, d, v)
        a = Constant<value_int = 0>() p = CumSum(o, a) w = Mul(p, o) c = Constant<value_float = 12.0>()
        k = LessOrEqual(w, c) f = Cast<to = 1>(k) q = Mul(f, o) y = Mul(x, q) }""",
    "rounding over the whole batch": """(float[n,16] x) => (float[n,16] y) {
        q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z) }""",
    "scores of every row against every other": """(float[n,4] a, float[n,4] b) => (float[n,m] y) {
        t = Transpose(b) y = MatMul(a, t) }""",
    "as much as the longest row needs": """(float[n,t] x) => (float[n,u] y) { h = Constant<value_float = 100.0>()
        g = Greater(x, h) c = Cast<to = 7>(g) a = Constant<value_ints = [1]>() s = ReduceSum<keepdims = 0>(c, a)
        m = ReduceMax(s) e = Add(m, a) z = Constant<value_ints = [0]>() y = Slice(x, z, e, a) }""",
    "as much as the longest mask says": """(float[n,t] x, int64[n,t] mask) => (float[n,t] y) {
        a = Constant<value_ints = [1]>() s = ReduceSum<keepdims = 0>(mask, a) m = ReduceMax(s)
        z = Constant<value_ints = [0]>() y = Slice(x, z, m, a) }""",
}
IMPOSSIBLE = {
    "the best of all rows": """(float[n,4] x) => (float[m,4] y) {
        k = Constant<value_ints = [1]>() y, i = TopK<axis = 0>(x, k) }""",
    "a number for the whole batch": """(float[n,4] x) => (float[m] y) { y = ReduceMean<keepdims = 0>(x) }""",
    "the class of all rows as one": """(float[n,8] x) => (int64[m] y) { s = Constant<value_ints = [1, -1]>()
        f = Reshape(x, s) y = ArgMax<axis = 1, keepdims = 0>(f) }""",
    "no more than 20 rows": """(float[n,4] x) => (float[n,4] y) { s = Constant<value_ints = [20, 1]>()
        w = ConstantOfShape<value = float[1] {2.0}>(s) z = Constant<value_ints = [0]>() k = Shape<end = 1>(x)
        t = Slice(w, z, k, z) y = Mul(x, t) }""",
    "a batch along another axis": "(float[n,3] x) => (float[m,n] y) { y = Transpose(x) }",
    "one row only": """(float[n,4] x) => (float[m,4] y) { s = Constant<value_ints = [1, 4]>() y = Reshape(x, s) }""",
}
UNKNOWN = {
    "a draw": "(float[n,4] x) => (float[n,4] y) { r = RandomNormalLike(x) y = Add(x, r) }",
    "what no row changes": "(float[n,4] x) => (float[n,4] y) { z = Constant<value_float = 0.0>() y = Mul(x, z) }",
}
KINDS = [
    (name, text, seen)
    for seen, kinds in {"apart": APART, "mixed": MIXED, "impossible": IMPOSSIBLE, "unknown": UNKNOWN}.items()
    for name, text in kinds.items()
]


def verdict(
    path: Path, lengths: NamedLengths | None = None, golden: Golden | None = None, longest_row_s: float = 9.0
) -> RowVerdict:
    session = open_session(path, SessionSettings())
    inputs, outputs = specs(session)
    whole = ModelSession(session, Signature(inputs, outputs), CPU)
    return check_rows(whole, RowSamples(inputs, lengths or {}, golden), most_rows=32, longest_row_s=longest_row_s)


@pytest.mark.parametrize(("text", "seen"), [(text, seen) for _, text, seen in KINDS], ids=[name for name, *_ in KINDS])
def test_what_becomes_of_rows_is_seen(tmp_path: Path, text: str, seen: str) -> None:
    found = verdict(write_graph(tmp_path / "model.onnx", text))
    assert (found.seen, bool(found.reason)) == (seen, seen != "apart"), found


def test_a_model_that_takes_too_long_for_a_row_is_not_tried_with_several(tmp_path: Path) -> None:
    found = verdict(write_graph(tmp_path / "model.onnx", APART["logarithms"]), longest_row_s=0.0)
    assert found.seen == "untried"
    assert "too long to see whether rows are independent" in found.reason


def test_a_golden_batch_shows_what_made_up_rows_cannot(tmp_path: Path) -> None:
    """The rows' mean shows for values of 3000 and more only."""
    text = """(float[n,4] x) => (float[n,4] y) { h = Constant<value_float = 3000.0>()
        d = Sub(x, h) r = Relu(d) m = ReduceMax<keepdims = 0>(r) y = Sub(x, m) }"""
    model = write_graph(tmp_path / "model.onnx", text)
    golden = Golden({"x": np.array([[1, 2, 3, 4], [5, 6, 7, 9000]], np.float32)}, {}, {})
    assert verdict(model).seen == "apart"
    assert verdict(model, golden=golden).seen == "mixed"


def test_rows_of_a_sequence_are_run_with_a_mask_and_at_lengths_of_its_buckets(tmp_path: Path) -> None:
    text = """(float[n,t,2] x, bool[n,t] mask) => (float[n,t,2] y) { a = Constant<value_ints = [2]>()
        m = Cast<to = 1>(mask) u = Unsqueeze(m, a) y = Mul(x, u) }"""
    lengths = {"t": LengthSpec(inputs={"x": 1}, mask="mask", outputs={"y": (1,)}, buckets=(4, 8))}
    assert verdict(write_graph(tmp_path / "model.onnx", text), lengths).apart


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("(float[n,t] x) => (float[n,t] y) { y = Neg(x) }", ""),
        ("(float[n,t] x) => (float[n,u] y) { y = Identity(x) }", "no input says how long axis 1 of y is"),
        (
            "(float[n,4] x) => (float[n,n] y) { t = Transpose(x) y = MatMul(x, t) }",
            "no input says how long axis 1 of y is",
        ),
        ("(float[n,4] x) => (float[n,4] y) { y = Neg(x) }", ""),
    ],
)
def test_an_axis_of_an_output_that_no_input_explains_is_named(tmp_path: Path, text: str, axis: str) -> None:
    session = open_session(write_graph(tmp_path / "model.onnx", text), SessionSettings(record_nodes=True))
    assert unexplained_axis(session) == axis
    assert unexplained_axis(session, explained={"y"}) == ""


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        (
            "(float[n,4] x) => (float[n,4] y) { q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z) }",
            "Dynamic",
        ),
        ("(float[n,4] x) => (float[n,4] y) { r = RandomNormalLike(x) y = Add(x, r) }", "RandomNormalLike"),
        ("(float[n,4] x) => (int64[2,m] y) { y = NonZero(x) }", "NonZero"),
        ("(float[n,4] x) => (float[n,4] y) { y = Neg(x) }", ""),
    ],
)
def test_an_operator_that_may_mix_rows_is_named(tmp_path: Path, text: str, operator: str) -> None:
    session = open_session(write_graph(tmp_path / "model.onnx", text), SessionSettings(record_nodes=True))
    found = doubtful_operator(session)
    assert operator in found
    assert bool(found) == bool(operator)


@pytest.mark.parametrize("overload", ["", "masked_maps"])
def test_a_body_of_fovea_that_chooses_by_how_many_keys_there_are_is_no_doubt(tmp_path: Path, overload: str) -> None:
    inputs = {name: normal(2, 3, 5, 4) for name in "QKV"}
    inputs |= {"mask": np.ones((5, 5), np.bool_)} if overload else {}
    model = model_of("MultiHeadAttention", overload, inputs, {"scale": 1.0, "causal": 0, "window": 0})
    onnx.save(model, tmp_path / "model.onnx")
    assert doubtful_operator(open_session(tmp_path / "model.onnx", SessionSettings(record_nodes=True))) == ""


@pytest.mark.parametrize(
    ("part", "seen"),
    [
        ("m = Neg(c)", "apart"),
        ("m = ReduceMean<keepdims = 0>(b, z)", "mixed"),
        ("d = ReduceMax(c, k) m = ReduceMean<keepdims = 0>(d, z)", "mixed"),
    ],
    ids=["nothing of the others", "the others' target", "the others' source"],
)
def test_rows_of_two_lengths_that_influence_each_other_are_seen(tmp_path: Path, part: str, seen: str) -> None:
    text = f"""(float[n,s] a, float[n,t] b, bool[n,s] a_mask) => (float[n,t] y) {{ z = Constant<value_ints = [0]>()
        k = Constant<value_ints = [1]>() f = Cast<to = 1>(a_mask) g = Mul(a, f) c = ReduceSum(g, k) {part}
        y = Add(b, m) }}"""
    lengths = {
        "source": LengthSpec(inputs={"a": 1}, mask="a_mask", buckets=(4, 8)),
        "target": LengthSpec(inputs={"b": 1}, outputs={"y": (1,)}, buckets=(4, 8)),
    }
    assert verdict(write_graph(tmp_path / "model.onnx", text), lengths).seen == seen
