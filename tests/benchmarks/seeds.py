"""`make seeds`: trains two further seeds of the fashion models, and notes how accurate each is, for README's table.

Resumable: what is trained lies in the cache, and the note is written after each model. A note holds for the recipe that
was trained: where it has changed since, its seeds are trained anew.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fovea.export.recipes import trained_recipe
from fovea.recipes.images.classification import ImageClassification
from fovea.recipes.images.fashion_models import FASHION_MODELS
from fovea.recipes.recipe import Recipe, fingerprint

NOTE = Path(__file__).parents[2] / "docs" / "seeds.json"
FURTHER_SEEDS = (1, 2)
Accuracies = dict[str, float]
"""Seed -> accuracy on the test images."""


def noted(recipes: Iterable[Recipe[Any]], note: Path = NOTE) -> dict[str, Accuracies]:
    """Model -> what has been noted of these recipes as they are now."""
    entries = json.loads(note.read_text()) if note.exists() else {}
    return {
        recipe.name: dict(entry["accuracy"])
        for recipe in recipes
        if (entry := entries.get(recipe.name)) and entry["recipe"] == fingerprint(recipe)
    }


def train_seeds(recipes: Iterable[ImageClassification], note: Path, seeds: Iterable[int] = FURTHER_SEEDS) -> None:
    """Train every recipe with every seed that has not been noted."""
    recipes, seeds = tuple(recipes), tuple(seeds)
    for recipe in recipes:
        known = noted([recipe], note).get(recipe.name, {})
        for seed in seeds:
            if str(seed) not in known:
                known[str(seed)] = trained_recipe(replace(recipe, seed=seed)).metrics["accuracy"]
                _write(recipe, known, note)


def _write(recipe: Recipe[Any], accuracies: Accuracies, note: Path) -> None:
    """Beside the other recipes' notes."""
    entries = json.loads(note.read_text()) if note.exists() else {}
    entries[recipe.name] = {"recipe": fingerprint(recipe), "accuracy": accuracies}
    note.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")


def spread(first: float, further: Mapping[str, float]) -> str:
    """Mean and standard deviation over the seeds; nothing of fewer than three."""
    values = [first, *further.values()]
    if len(values) <= len(FURTHER_SEEDS):
        return "one seed" if len(values) == 1 else "two seeds"
    return f"{statistics.mean(values):.2%} ± {statistics.stdev(values):.2%}"


if __name__ == "__main__":
    train_seeds(FASHION_MODELS, NOTE)
    sys.exit(0)
