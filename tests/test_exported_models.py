"""The models that come with the repository are as good as they are said to be."""

from __future__ import annotations

import pytest

from committed_models import COMMITTED
from fovea.contract.model_card import CARD_FILE, ModelCard

CARDS = {name: folder / CARD_FILE for name, folder in COMMITTED.items()}
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


def test_every_recipe_has_its_model_here() -> None:
    from fovea.recipes.catalogue import RECIPES

    assert set(COMMITTED) == set(RECIPES)
