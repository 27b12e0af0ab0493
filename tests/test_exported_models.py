"""The models that come with the repository are as good as they are said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from fovea.contract.model_card import ModelCard

CARDS = {path.parts[-3]: path for path in (Path(__file__).parents[1] / "exported_models").glob("*/*/card.json")}
LEAST_ACCURACY = dict.fromkeys(CARDS, 0.925) | {"fashion-vit": 0.89}
MOST_ERROR = 1e-4
"""Of a float32 logit, against PyTorch in float64."""


@pytest.mark.parametrize("model", sorted(CARDS))
def test_a_model_is_as_accurate_as_was_promised(model: str) -> None:
    assert ModelCard.read(CARDS[model]).metrics["accuracy"] >= LEAST_ACCURACY[model]


@pytest.mark.parametrize("model", sorted(CARDS))
def test_a_model_agrees_with_pytorch_at_one_two_odd_and_many_rows(model: str) -> None:
    for parity in ModelCard.read(CARDS[model]).parity:
        assert set(parity.max_abs_error) >= {1, 2, 7, 32}
        assert max(parity.max_abs_error.values()) < MOST_ERROR
