"""Padding that changes answers is seen, of whichever length it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fovea.contract.lengths import LengthSpec
from fovea.runtime.description import specs
from fovea.runtime.device import CPU
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.padding_check import longest_lengths, padding_harm
from fovea.runtime.row_samples import RowSamples
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature
from graphs import write_graph

SOURCE = LengthSpec(inputs={"a": 1, "bias": 2}, mask="a_mask", buckets=(8, 12))
TARGET = LengthSpec(inputs={"b": 1, "bias": 1}, mask="b_mask", outputs={"y": (1,)}, buckets=(8, 12))
INPUTS = "float[n,s] a, bool[n,s] a_mask, float[n,t] b, bool[n,t] b_mask, float[n,t,s] bias"
MASKED = """k = Constant<value_ints = [1]>() l = Constant<value_ints = [2]>()
    am = Cast<to = 1>(a_mask) bm = Cast<to = 1>(b_mask) av = Mul(a, am) bv = Mul(b, bm)
    am1 = Unsqueeze(am, k) bm1 = Unsqueeze(bm, l) both = Mul(am1, bm1) w = Mul(bias, both)"""


def session_of(path: Path, text: str, lengths: dict[str, LengthSpec], *, batched: bool = True) -> ModelSession:
    session = open_session(write_graph(path / "model.onnx", text), SessionSettings())
    return ModelSession(session, Signature(*specs(session), batched, 4 if batched else 1, lengths), CPU)


def counting(part: str) -> str:
    """A model that adds to b what one operation makes of a length."""
    return f"""({INPUTS}) => (float[n,t] y) {{ {MASKED} {part} y = Add(bv, more) }}"""


PARTS = {
    "masked": "u = ReduceSum<keepdims = 0>(w, l) v = ReduceSum(av, k) more = Add(u, v)",
    "leaks along the source": "c = Shape<start = 1>(a) d = Cast<to = 1>(c) u = ReduceSum(av, k) more = Div(u, d)",
    "leaks along the target": "c = Shape<start = 1>(b) d = Cast<to = 1>(c) u = ReduceSum(bv, k) more = Div(u, d)",
    "leaks where both are padded": """c = Shape<start = 1>(w) one = Not(a_mask) two = Not(b_mask)
        f = Cast<to = 1>(one) g = Cast<to = 1>(two) h = ReduceMax<keepdims = 0>(f) j = ReduceMax<keepdims = 0>(g)
        more = Mul(h, j)""",
}
HARMED = {
    "masked": {},
    "leaks along the source": {"source": "padding from 8 to 12 changes y"},
    "leaks along the target": {"target": "padding from 8 to 12 changes y"},
    "leaks where both are padded": dict.fromkeys(
        ("source", "target"), "padding source from 8 to 12 and target from 8 to 12 changes y"
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_the_length_along_which_padding_changes_answers_is_named(tmp_path: Path, part: str) -> None:
    lengths = {"source": SOURCE, "target": TARGET}
    session = session_of(tmp_path, counting(PARTS[part]), lengths)
    assert padding_harm(session, RowSamples(session.inputs, lengths), {}) == HARMED[part]


def test_a_length_that_is_not_padded_is_not_tried(tmp_path: Path) -> None:
    lengths = {"source": SOURCE.model_copy(update={"padded": False}), "target": TARGET}
    session = session_of(tmp_path, counting(PARTS["leaks along the source"]), lengths)
    assert padding_harm(session, RowSamples(session.inputs, lengths), {}) == {}


@pytest.mark.parametrize(("allowed", "harmed"), [(1e-3, ["source"]), (100.0, [])])
def test_what_the_card_allows_for_rounding_is_no_harm(tmp_path: Path, allowed: float, harmed: list[str]) -> None:
    lengths = {"source": SOURCE, "target": TARGET}
    session = session_of(tmp_path, counting(PARTS["leaks along the source"]), lengths)
    assert list(padding_harm(session, RowSamples(session.inputs, lengths), {"y": allowed})) == harmed


def test_the_end_of_each_length_is_found_by_itself(tmp_path: Path) -> None:
    text = """(float[n,s] a, float[n,t] b) => (float[n,t] y) { z = Constant<value_ints = [0]>()
        k = Constant<value_ints = [1]>() e = Shape<start = 1>(b) s = Constant<value_ints = [1, 12]>()
        p = ConstantOfShape<value = float[1] {0.5}>(s) q = Slice(p, z, e, k) m = ReduceSum(a, k)
        r = Add(b, q) y = Add(r, m) }"""
    source = LengthSpec(inputs={"a": 1}, buckets=(8, 16))
    target = LengthSpec(inputs={"b": 1}, outputs={"y": (1,)}, buckets=(4, 12))
    lengths = {"source": source, "target": target}
    session = session_of(tmp_path, text, lengths, batched=False)
    assert longest_lengths(session, RowSamples(session.inputs, lengths)) == {"target": 12}
    known = {"source": source, "target": target.model_copy(update={"longest": 12})}
    assert longest_lengths(session, RowSamples(session.inputs, known)) == {}
