"""`make seeds`: trains two further seeds of the fashion models, and notes how accurate each is, for README's table.

Resumable: what is trained lies in the cache, and the note is written after each model.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fovea.export.recipes import trained_recipe
from fovea.recipes.images.classification import ImageClassification
from fovea.recipes.images.fashion_models import FASHION_MODELS

NOTE = Path(__file__).parents[2] / "docs" / "seeds.json"
FURTHER_SEEDS = (1, 2)
Accuracies = dict[str, dict[str, float]]
"""Model -> seed -> accuracy on the test images."""


def read(note: Path = NOTE) -> Accuracies:
    """What has been noted so far."""
    return dict(json.loads(note.read_text())) if note.exists() else {}


def train_seeds(recipes: Sequence[ImageClassification], note: Path, seeds: Sequence[int] = FURTHER_SEEDS) -> None:
    """Train every recipe with every seed that has not been noted."""
    accuracies = read(note)
    for recipe in recipes:
        known = accuracies.setdefault(recipe.name, {})
        for seed in seeds:
            if str(seed) not in known:
                known[str(seed)] = trained_recipe(replace(recipe, seed=seed)).metrics["accuracy"]
                note.write_text(json.dumps(accuracies, indent=2) + "\n")


def spread(first: float, further: Mapping[str, float]) -> str:
    """Mean and standard deviation over the seeds; nothing of fewer than three."""
    values = [first, *further.values()]
    if len(values) <= len(FURTHER_SEEDS):
        return "one seed"
    return f"{statistics.mean(values):.2%} ± {statistics.stdev(values):.2%}"


if __name__ == "__main__":
    train_seeds(FASHION_MODELS, NOTE)
    sys.exit(0)
