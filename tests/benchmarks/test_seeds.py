"""Further seeds are trained once, noted, and count only where there are three."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.benchmarks import seeds

from fovea.recipes.checkpoint import load_trained
from fovea.recipes.images.fashion_models import FASHION_MODELS


def test_two_further_seeds_are_trained_and_noted_and_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = FASHION_MODELS[0]
    few = first.data().sample(48)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    small = replace(first, schedule=replace(first.schedule, epochs=1, batch_rows=16), load=lambda: few)
    note = tmp_path / "seeds.json"
    seeds.train_seeds([small], note, seeds=(1, 2))
    noted = json.loads(note.read_text())[first.name]
    assert noted.keys() == {"1", "2"}
    for seed in (1, 2):
        trained = load_trained(replace(small, seed=seed))
        assert trained is not None
        assert trained.metrics["accuracy"] == noted[str(seed)]
    note.write_text(json.dumps({first.name: {"1": 0.5, "2": 0.7}}))
    seeds.train_seeds([small], note, seeds=(1, 2))
    assert seeds.read(note) == {first.name: {"1": 0.5, "2": 0.7}}


def test_fewer_than_three_seeds_have_no_spread() -> None:
    assert seeds.spread(0.93, {"1": 0.92}) == "one seed"
    assert seeds.spread(0.93, {"1": 0.92, "2": 0.94}) == "93.00% ± 1.00%"
