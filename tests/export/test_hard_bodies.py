"""Bodies of hard attention against the torch operators: choices and draws alike, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fovea.attention.hard import hard_argmax_attention, hard_sample_attention
from one_node import halved, model_of, normal, session_of

HARD = {
    "HardArgmaxAttention": hard_argmax_attention,
    "HardSampleAttention": hard_sample_attention,
}
SHAPES = [(1, 1, 1, 1), (2, 7, 5, 3), (3, 1, 13, 8), (2, 16, 11, 17), (0, 3, 4, 2), (2, 3, 0, 4), (2, 0, 3, 4)]
"""Rows, queries, keys, width of a value: the awkward ones."""
SEEDS = np.array([0, -1, 2**63 - 1, -(2**63), 5 << 32])


def call(operator: str, shape: tuple[int, ...], masked: bool) -> dict[str, NDArray[Any]]:
    """Inputs with equal scores among them; the first query of a masked call may attend nothing."""
    rows, queries, keys, width = shape
    inputs: dict[str, NDArray[Any]] = {"Scores": normal(rows, queries, keys), "V": normal(rows, keys, width, seed=1)}
    inputs["Scores"][:, 1::3] = 0.5
    if operator == "HardSampleAttention":
        inputs["seed"] = np.resize(SEEDS, rows).astype(np.int64)
    if masked:
        inputs["mask"] = np.random.default_rng(5).random((rows, queries, keys)) < 0.5
        inputs["mask"][:, :1] = False
    return inputs


@pytest.mark.parametrize("operator", HARD)
@pytest.mark.parametrize("overload", ["", "masked"])
@pytest.mark.parametrize("half", [False, True])
def test_body_chooses_and_draws_what_the_operator_does(operator: str, overload: str, half: bool) -> None:
    session = None
    for shape in SHAPES:
        inputs = call(operator, shape, bool(overload))
        inputs = halved(inputs) if half else inputs
        session = session or session_of(model_of(operator, overload, inputs, {}))
        y, index = session.run(None, inputs)
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        expected = HARD[operator](
            *{**tensors, "Scores": tensors["Scores"].float()}.values(), *([] if overload else [None])
        )
        assert y.dtype == inputs["V"].dtype
        np.testing.assert_array_equal(index, expected[1].numpy())
        np.testing.assert_array_equal(y, expected[0].numpy())


@pytest.mark.parametrize("operator", HARD)
def test_a_nan_is_read_before_any_number(operator: str) -> None:
    inputs = call(operator, (1, 3, 4, 5), False)
    inputs["Scores"][0, 1, 2] = inputs["Scores"][0, 2] = np.nan
    _, index = session_of(model_of(operator, "", inputs, {})).run(None, inputs)
    tensors = [torch.from_numpy(array) for array in inputs.values()]
    assert index[0, 1:].tolist() == HARD[operator](*tensors, None)[1][0, 1:].tolist() == [2, 0]


@pytest.mark.parametrize("operator", HARD)
def test_a_query_that_may_attend_nothing_yields_zeros_and_no_index(operator: str) -> None:
    inputs = call(operator, (2, 3, 4, 5), True)
    y, index = session_of(model_of(operator, "masked", inputs, {})).run(None, inputs)
    assert not y[:, 0].any()
    assert (index[:, 0] == -1).all()
    assert (index[:, 1:] >= 0).any()
