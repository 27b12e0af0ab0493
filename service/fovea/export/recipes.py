"""The recipes of this project: trained where they are not yet, exported, published."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from fovea.contract.errors import ExportFailed
from fovea.export.spinner import export_subject
from fovea.export.version import Subject
from fovea.recipes import fashion_mnist
from fovea.recipes.augmentation import normalise
from fovea.recipes.catalogue import RECIPES
from fovea.recipes.checkpoint import load_trained, save_trained
from fovea.recipes.dataset import ImageDataset
from fovea.recipes.progress import progress_bar
from fovea.recipes.recipe import Recipe
from fovea.recipes.training import Trained, train
from fovea.runtime.arrays import Arrays

INPUT, LOGITS = "input", "logits"


def export_recipes(names: Sequence[str], repository: Path) -> list[Path]:
    """Train what is not in the cache yet, export, publish; the new versions' folders in the order of `names`.

    Raises ExportFailed for an unknown name before anything is trained.
    """
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        raise ExportFailed(f"no recipe {', '.join(unknown)}; there are: {', '.join(RECIPES)}")
    data = fashion_mnist.load()
    return [export_trained(RECIPES[name], _trained(RECIPES[name], data), data, repository) for name in names]


def export_trained(recipe: Recipe, trained: Trained, data: ImageDataset, repository: Path) -> Path:
    """Export one trained recipe; parity and golden batch are made from real test images."""
    subject = Subject(
        name=recipe.name,
        module=trained.module,
        rows=partial(_test_rows, recipe, data),
        output_names=(LOGITS,),
        attention=recipe.attention,
        labels=recipe.labels,
        preprocessing=recipe.preprocessing,
        metrics={"accuracy": trained.accuracy},
        training=trained.training,
    )
    return export_subject(subject, repository)


def _trained(recipe: Recipe, data: ImageDataset) -> Trained:
    """From the cache, or trained now and then kept."""
    cached = load_trained(recipe)
    if cached is not None:
        return cached
    with progress_bar(f"training {recipe.name}") as progress:
        trained = train(recipe, data, progress)
    save_trained(recipe, trained)
    return trained


def _test_rows(recipe: Recipe, data: ImageDataset, rows: int) -> Arrays:
    """The first test images, as the module takes them."""
    images: Tensor = normalise(torch.tensor(data.test_images[:rows]), recipe.preprocessing)
    return {INPUT: images.numpy()}
