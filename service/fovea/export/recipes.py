"""The recipes of this project: trained where they are not yet, exported, published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fovea.contract.errors import ExportFailed
from fovea.export.spinner import export_subject
from fovea.recipes.catalogue import RECIPES
from fovea.recipes.checkpoint import load_trained, save_trained
from fovea.recipes.progress import progress_bar
from fovea.recipes.recipe import D, Recipe, Trained
from fovea.recipes.training import train


def export_recipes(names: Sequence[str], repository: Path) -> list[Path]:
    """Train what is not in the cache yet, export, publish; the new versions' folders in the order of `names`.

    Raises ExportFailed for an unknown name before anything is trained.
    """
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        raise ExportFailed(f"no recipe {', '.join(unknown)}; there are: {', '.join(RECIPES)}")
    return [export_recipe(RECIPES[name], repository) for name in names]


def export_recipe(recipe: Recipe[D], repository: Path) -> Path:
    """Train a recipe, where its weights are not in the cache yet, export it, publish it: the new version's folder."""
    data = recipe.data()
    return export_subject(recipe.subject(_trained(recipe, data), data), repository)


def _trained(recipe: Recipe[D], data: D) -> Trained:
    """From the cache, or trained now and then kept."""
    cached = load_trained(recipe)
    if cached is not None:
        return cached
    with progress_bar(f"training {recipe.name}") as progress:
        trained = train(recipe, data, progress)
    save_trained(recipe, trained)
    return trained
