"""Bodies of the score functions against the torch operators: masks, precisions, sequences of any length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from one_node import halved, in_float64, model_of, normal, require_close, run, session_of

Arrays = dict[str, NDArray[Any]]
SCORES = ["AdditiveAttention", "DistanceAttention", "DotAttention", "BilinearAttention"]
SHAPES = [(1, 1, 1, 1), (2, 7, 5, 3), (3, 1, 13, 8), (2, 16, 11, 17), (0, 3, 4, 2)]
"""Rows, queries, keys, features: the awkward ones."""


def call(operator: str, shape: tuple[int, ...], masked: bool) -> tuple[Arrays, dict[str, float]]:
    """Inputs and attributes; some queries of a masked call may attend nothing."""
    rows, queries, keys, width = shape
    inputs = {name: normal(rows, size, width, seed=size) for name, size in (("Q", queries), ("K", keys))}
    inputs["V"] = normal(rows, keys, 4, seed=1)
    if operator == "AdditiveAttention":
        inputs["v"] = normal(width, seed=2)
    if operator == "BilinearAttention":
        inputs["W"] = normal(width, width, seed=3)
    if masked:
        inputs["mask"] = np.random.default_rng(5).random((rows, queries, keys)) < 0.5
        inputs["mask"][:, :1] = False
    return inputs, {} if operator == "AdditiveAttention" else {"scale": 0.37}


def expected(operator: str, inputs: Arrays, attributes: dict[str, float]) -> list[Tensor]:
    """PyTorch's outputs in float64."""
    torch_operator = getattr(torch.ops.fovea, operator.replace("Attention", "_attention").lower())
    mask = [] if "mask" in inputs else [None]
    return list(torch_operator(*in_float64(inputs), *mask, *attributes.values()))


@pytest.mark.parametrize("operator", SCORES)
@pytest.mark.parametrize("overload", ["", "masked"])
@pytest.mark.parametrize("half", [False, True])
def test_body_is_the_operator_for_sequences_of_any_length(operator: str, overload: str, half: bool) -> None:
    session = None
    for shape in SHAPES:
        inputs, attributes = call(operator, shape, bool(overload))
        inputs = halved(inputs) if half else inputs
        session = session or session_of(model_of(operator, overload, inputs, attributes))
        actual = session.run(None, inputs)
        assert {output.dtype for output in actual} == {inputs["Q"].dtype}
        require_close(actual, expected(operator, inputs, attributes))


@pytest.mark.parametrize("operator", SCORES)
def test_a_query_that_may_attend_nothing_yields_zeros(operator: str) -> None:
    inputs, attributes = call(operator, (2, 3, 4, 5), True)
    for output in run(model_of(operator, "masked", inputs, attributes), inputs):
        np.testing.assert_array_equal(output[:, 0], np.zeros_like(output[:, 0]))


def test_distances_keep_their_digits_far_from_the_origin() -> None:
    """Two far clusters of keys: the squares are a million times the differences that count."""
    inputs, attributes = call("DistanceAttention", (2, 6, 8, 16), False)
    centres = np.where(np.arange(8) < 4, 300.0, -300.0).astype(np.float32)
    inputs["Q"] += centres[:6, None]
    inputs["K"] += centres[:, None]
    require_close(
        run(model_of("DistanceAttention", "", inputs, attributes), inputs),
        expected("DistanceAttention", inputs, attributes),
    )


@pytest.mark.parametrize("overload", ["", "masked"])
def test_distances_beyond_the_range_of_half_precision_are_still_compared(overload: str) -> None:
    inputs, attributes = call("DistanceAttention", (1, 2, 3, 4), bool(overload))
    inputs = halved({**inputs, "Q": inputs["Q"] * 100, "K": inputs["K"] * 100 + 400})
    assert float(np.square(inputs["K"].astype(np.float64)).sum(-1).min()) > float(np.finfo(np.float16).max)
    require_close(
        run(model_of("DistanceAttention", overload, inputs, attributes), inputs),
        expected("DistanceAttention", inputs, attributes),
    )
