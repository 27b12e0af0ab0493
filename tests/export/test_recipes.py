"""Exporting this project's recipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fovea.contract.errors import ExportFailed
from fovea.contract.model_card import ModelCard, Training
from fovea.export.recipes import export_recipes
from fovea.export.spinner import export_subject
from fovea.recipes.images.dataset import ImageDataset
from fovea.recipes.images.fashion_models import FASHION_MODELS
from fovea.recipes.recipe import Trained, untrained


def test_unknown_recipe_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="no recipe fashion-nothing; there are: fashion-none, fashion-se"):
        export_recipes(["fashion-nothing"], tmp_path)


def test_trained_recipe_becomes_a_version_that_tells_where_it_comes_from(tmp_path: Path) -> None:
    recipe = next(recipe for recipe in FASHION_MODELS if recipe.name == "fashion-se")
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28)).astype(np.uint8)
    data = ImageDataset("noise", images, np.zeros(40, np.int64), images, np.zeros(40, np.int64))
    training = Training(data="noise", seed=3, epochs=1, rows=40)
    trained = Trained(untrained(recipe).eval(), {"accuracy": 0.25}, training)
    folder = export_subject(recipe.subject(trained, data), tmp_path)
    card = ModelCard.read(folder / "card.json")
    assert folder == tmp_path / "fashion-se" / "1"
    assert (card.attention, card.metrics, card.training) == (recipe.attention, {"accuracy": 0.25}, training)
    assert (card.labels, card.preprocessing) == (recipe.labels, recipe.preprocessing)
    assert [spec.name for spec in (*card.inputs, *card.outputs)] == ["input", "logits"]
    pixels = np.load(folder / "golden.npz")["inputs/input"]
    expected = (images[0] / 255 - recipe.preprocessing.mean[0]) / recipe.preprocessing.std[0]
    np.testing.assert_allclose(pixels[0, 0], expected, rtol=0, atol=1e-6)
