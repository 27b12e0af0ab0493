"""Further seeds are trained once, noted for the recipe that they were trained by, and count where there are three."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.benchmarks import seeds

from fovea.recipes.checkpoint import load_trained
from fovea.recipes.images.classification import ImageClassification
from fovea.recipes.images.fashion_models import FASHION_MODELS


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageClassification:
    first = FASHION_MODELS[0]
    few = first.data().sample(48)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return replace(first, schedule=replace(first.schedule, epochs=1, batch_rows=16), load=lambda: few)


def changed(recipe: ImageClassification) -> ImageClassification:
    return replace(recipe, schedule=replace(recipe.schedule, peak_learning_rate=0.0))


def test_two_further_seeds_are_trained_and_noted_and_not_trained_again(
    small: ImageClassification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "seeds.json"
    seeds.train_seeds([small], note)
    found = seeds.noted([small], note)
    trained = {str(seed): load_trained(replace(small, seed=seed)) for seed in (1, 2)}
    assert found == {small.name: {seed: one.metrics["accuracy"] for seed, one in trained.items() if one}}
    monkeypatch.setattr(seeds, "trained_recipe", pytest.fail)
    seeds.train_seeds([small], note)
    assert seeds.noted([small], note) == found


def test_what_was_noted_of_a_recipe_is_not_told_of_another_one(small: ImageClassification, tmp_path: Path) -> None:
    note = tmp_path / "seeds.json"
    seeds.train_seeds([small], note, seeds=(1,))
    assert seeds.noted([changed(small)], note) == {}
    seeds.train_seeds([changed(small)], note, seeds=(2,))
    assert seeds.noted([changed(small)], note)[small.name].keys() == {"2"}
    assert seeds.noted([small], note) == {}


def test_fewer_than_three_seeds_have_no_spread() -> None:
    assert seeds.spread(0.93, {}) == "one seed"
    assert seeds.spread(0.93, {"1": 0.92}) == "two seeds"
    assert seeds.spread(0.93, {"1": 0.92, "2": 0.94}) == "93.00% ± 1.00%"
