"""A small real data set (scikit-learn's digits) and a recipe that trains on it in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fovea.recipes.images.augmentation import Augmentation
from fovea.recipes.images.classification import ImageClassification
from fovea.recipes.images.dataset import ImageDataset
from fovea.recipes.images.fashion_models import FASHION_MODELS


@pytest.fixture(scope="session")
def digits() -> ImageDataset:
    """1,000 digits of 8x8, drawn large to 28x28."""
    bunch = load_digits()
    images = np.pad((bunch.images * 15).astype(np.uint8).repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2)))
    labels = bunch.target.astype(np.int64)
    return ImageDataset("digits", images[:700], labels[:700], images[700:1000], labels[700:1000])


@pytest.fixture(scope="session")
def small_recipe(digits: ImageDataset) -> ImageClassification:
    recipe = next(recipe for recipe in FASHION_MODELS if recipe.name == "fashion-cbam")
    schedule = replace(recipe.schedule, epochs=4, batch_rows=32)
    small = replace(recipe, name="digits-cbam", schedule=schedule, augmentation=Augmentation())
    return replace(small, load=lambda: digits)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "fovea"
