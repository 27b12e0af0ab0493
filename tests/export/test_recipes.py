"""Exporting this project's recipes."""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO
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


class Terminal(StringIO):
    """What a terminal would show."""

    def isatty(self) -> bool:
        return True


RECIPE = next(recipe for recipe in FASHION_MODELS if recipe.name == "fashion-se")
TRAINING = Training(data="noise", seed=3, epochs=1, rows=40)
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 28, 28)).astype(np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a recipe's version, and what a terminal showed meanwhile."""
    data = ImageDataset("noise", IMAGES, np.zeros(40, np.int64), IMAGES, np.zeros(40, np.int64))
    trained = Trained(untrained(RECIPE).eval(), {"accuracy": 0.25}, TRAINING)
    with redirect_stderr(Terminal()) as terminal:
        folder = export_subject(RECIPE.subject(trained, data), tmp_path_factory.mktemp("models"))
    return folder, terminal.getvalue()


def test_trained_recipe_becomes_a_version_that_tells_where_it_comes_from(exported: tuple[Path, str]) -> None:
    folder, _ = exported
    card = ModelCard.read(folder / "card.json")
    assert folder.parts[-2:] == ("fashion-se", "1")
    assert (card.attention, card.metrics, card.training) == (RECIPE.attention, {"accuracy": 0.25}, TRAINING)
    assert (card.labels, card.preprocessing) == (RECIPE.labels, RECIPE.preprocessing)
    assert [spec.name for spec in (*card.inputs, *card.outputs)] == ["input", "logits"]
    pixels = np.load(folder / "golden.npz")["inputs/input"]
    expected = (IMAGES[0] / 255 - RECIPE.preprocessing.mean[0]) / RECIPE.preprocessing.std[0]
    np.testing.assert_allclose(pixels[0, 0], expected, rtol=0, atol=1e-6)


def test_whoever_exports_at_a_terminal_sees_what_is_being_done(exported: tuple[Path, str]) -> None:
    _, shown = exported
    for stage in ("tracing the module", "asking PyTorch, in float64", "trying it as a server will"):
        assert f"exporting fashion-se: {stage}" in shown
