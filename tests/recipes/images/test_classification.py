"""What a picture classifier is trained and measured on is what a server makes of the same pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from committed_models import COMMITTED
from fovea.contract.model_card import ModelCard
from fovea.inputs.pictures import Limits
from fovea.recipes.images.classification import ImageClassification
from fovea.recipes.images.dataset import ImageDataset
from fovea.recipes.images.fashion_models import FASHION_MODELS, FASHION_PLUG_IN
from fovea.serving.inputs.raw_input import raw_inputs

RECIPES = {recipe.name: recipe for recipe in (*FASHION_MODELS, FASHION_PLUG_IN.plugged)}


class Seen(nn.Module):
    """Keeps the rows that it is given, and tells nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Tensor] = []

    def forward(self, rows: Tensor) -> Tensor:
        self.rows.append(rows)
        return torch.zeros(len(rows), 10)


def encoded(pixels: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="module")
def noise() -> ImageDataset:
    pixels = np.random.default_rng(1).integers(0, 256, (6, 28, 28), np.uint8)
    return ImageDataset("noise", pixels, np.zeros(6, np.int64), pixels, np.zeros(6, np.int64))


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_models_card_says_of_pictures_and_labels_what_its_recipe_says(name: str) -> None:
    card, recipe = ModelCard.read(COMMITTED[name] / "card.json"), RECIPES[name]
    assert (card.preprocessing, card.labels) == (recipe.preprocessing, recipe.labels)
    assert card.steps_by_input == {"input": recipe.preprocessing.steps}


def learn(recipe: ImageClassification, seen: Seen, data: ImageDataset) -> None:
    recipe.loss(seen, data, torch.arange(6), torch.Generator())


def measure(recipe: ImageClassification, seen: Seen, data: ImageDataset) -> None:
    recipe.evaluation(seen, data)


@pytest.mark.parametrize("look", [learn, measure])
@pytest.mark.parametrize("name", COMMITTED)
def test_rows_are_those_that_the_server_makes_of_the_same_pictures(
    name: str, look: Callable[..., Any], noise: ImageDataset
) -> None:
    server = raw_inputs(ModelCard.read(COMMITTED[name] / "card.json"), str)["input"]
    seen, recipe = Seen(), RECIPES[name]
    look(ImageClassification(**{**vars(recipe), "augmentation": type(recipe.augmentation)()}), seen, noise)
    served = [server.row(row, [encoded(pixels)], Limits()) for row, pixels in enumerate(noise.test_images)]
    np.testing.assert_array_equal(torch.cat(seen.rows).numpy(), server.tensors(served)["input"])
