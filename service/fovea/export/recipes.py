"""The recipes of this project: trained where they are not yet, exported, published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from fovea.contract.errors import ExportFailed
from fovea.export.spinner import export_subject
from fovea.recipes.catalogue import EVERY
from fovea.recipes.checkpoint import UnfinishedTraining, load_trained, save_trained
from fovea.recipes.fetched import Fetched
from fovea.recipes.progress import progress_bar
from fovea.recipes.recipe import ComparedRecipe, ContinuedRecipe, D, Recipe, Trained
from fovea.recipes.training import train


def export_recipes(names: Sequence[str], repository: Path) -> list[Path]:
    """Train what is not in the cache yet, export, publish; the new versions' folders in the order of `names`.

    Raises ExportFailed for an unknown name before anything is trained.
    """
    unknown = [name for name in names if name not in EVERY]
    if unknown:
        raise ExportFailed(f"no recipe {', '.join(unknown)}; there are: {', '.join(EVERY)}")
    return [export_recipe(EVERY[name], repository) for name in names]


def export_recipe(recipe: Recipe[Any] | Fetched, repository: Path) -> Path:
    """Train a recipe, where its weights are not in the cache yet, export it, publish it: the new version's folder."""
    if isinstance(recipe, Fetched):
        return export_subject(recipe.subject(), repository)
    data = recipe.data()
    return export_subject(recipe.subject(_trained(recipe, data), data), repository)


def trained_recipe(recipe: Recipe[Any]) -> Trained:
    """Its trained network, from the cache where it is there."""
    return _trained(recipe, recipe.data())


def _trained(recipe: Recipe[D], data: D) -> Trained:
    """From the cache, or trained now, from the last whole epoch where it was interrupted, and then kept."""
    cached = load_trained(recipe)
    if cached is not None:
        return cached
    weights, others = _first_weights(recipe), _metrics_of_others(recipe)
    unfinished = UnfinishedTraining(recipe)
    with progress_bar(f"training {recipe.name}") as progress:
        trained = train(recipe, data, progress, weights, unfinished)
    trained = replace(trained, metrics={**trained.metrics, **others})
    save_trained(recipe, trained)
    unfinished.discard()
    return trained


def _first_weights(recipe: Recipe[Any]) -> Mapping[str, Tensor] | None:
    """What the recipe's training begins with; None: random numbers."""
    if not isinstance(recipe, ContinuedRecipe):
        return None
    return trained_recipe(recipe.start).module.state_dict()


def _metrics_of_others(recipe: Recipe[Any]) -> dict[str, float]:
    """What the recipes that it is compared with reach: `accuracy_without_pretraining`."""
    others = recipe.others if isinstance(recipe, ComparedRecipe) else {}
    return {
        f"{metric}_{name}": value
        for name, other in others.items()
        for metric, value in trained_recipe(other).metrics.items()
    }
