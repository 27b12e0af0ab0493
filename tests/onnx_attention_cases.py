"""ONNX's own test cases of its operator `Attention`, and which of them `ai.fovea`'s MultiHeadAttention computes too."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

_TAKEN = {"scale", "is_causal", "left_window_size", "right_window_size", "qk_matmul_output_mode", "softmax_precision"}
_SOFTMAX = 3
"""Where `qk_matmul_output_mode` is this, the fourth output is the map."""


@dataclass(frozen=True)
class AttentionCase:
    """One case: a model of one node, its inputs, and the outputs that are right."""

    name: str
    model: onnx.ModelProto
    inputs: Arrays
    outputs: tuple[NDArray[Any], ...]

    @property
    def settings(self) -> dict[str, Any]:
        """The node's attributes."""
        (node,) = self.model.graph.node
        return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}

    def require_right(self, answers: list[NDArray[Any]]) -> None:
        """To rounding. A closed key's score may be the lowest number instead of -infinity."""
        for got, right in zip(answers, self.outputs, strict=True):
            assert (got.shape, got.dtype) == (right.shape, right.dtype)
            open_scores = right > -1e4
            assert (got[~open_scores] <= -1e4).all()
            step = 2e-3 if right.dtype == np.float16 else 1e-5
            np.testing.assert_allclose(got[open_scores], right[open_scores], rtol=1e-3, atol=step)


@dataclass(frozen=True)
class HeadsCase:
    """As inputs and settings of MultiHeadAttention, and its right outputs; `p`: None where ONNX gives none."""

    inputs: Arrays
    settings: dict[str, Any]
    y: NDArray[Any]
    p: NDArray[Any] | None


@cache
def attention_cases() -> tuple[AttentionCase, ...]:
    """All of them, in ONNX's order; those that are expanded into other operators left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import onnx.backend.test.case.node.attention  # noqa: F401 - importing it makes the cases
        from onnx.backend.test.case.node import _NodeTestCases
    chosen = [case for case in _NodeTestCases if case.name.startswith("test_attention_")]
    return tuple(_case(case) for case in chosen if not case.name.endswith("_expanded"))


def _case(case: Any) -> AttentionCase:
    ((inputs, outputs),) = case.data_sets
    names = [value.name for value in case.model.graph.input]
    return AttentionCase(case.name, case.model, dict(zip(names, inputs, strict=True)), tuple(outputs))


def as_heads(case: AttentionCase) -> HeadsCase | None:
    """None where it wants more than heads of their own, a mask, causality and a window: a cache, shared heads, ..."""
    settings, inputs = case.settings, dict(case.inputs)
    if not set(settings) <= _TAKEN or not set(inputs) <= {"Q", "K", "V", "attn_mask"} or inputs["Q"].dtype.kind != "f":
        return None
    causal, window = settings.get("is_causal", 0), max(settings.get("left_window_size", 0), 0)
    one_sided = window > 0 and not causal and settings.get("right_window_size", -1) != window
    if inputs["Q"].ndim != 4 or inputs["Q"].shape[1] != inputs["K"].shape[1] or one_sided:
        return None
    mask = inputs.pop("attn_mask", None)
    if mask is not None:
        inputs["mask" if mask.dtype == np.bool_ else "bias"] = mask
    scale = settings.get("scale", inputs["Q"].shape[-1] ** -0.5)
    has_map = settings.get("qk_matmul_output_mode") == _SOFTMAX
    return HeadsCase(
        inputs,
        {"scale": float(scale), "causal": int(causal), "window": int(window)},
        case.outputs[0],
        case.outputs[-1] if has_map else None,
    )
