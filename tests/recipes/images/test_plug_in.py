"""A block without parameters in a trained network."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from fovea.contract.attention import AttentionType
from fovea.contract.model_card import ModelCard
from fovea.export.recipes import export_recipe
from fovea.networks.residual_network import ResidualNetwork
from fovea.recipes.checkpoint import save_trained
from fovea.recipes.images.classification import ImageClassification
from fovea.recipes.images.dataset import ImageDataset
from fovea.recipes.images.plug_in import PlugIn
from fovea.recipes.recipe import Trained
from fovea.recipes.training import train

WIDTHS = (8, 8, 16)


@pytest.fixture(scope="module")
def plain(small_recipe: ImageClassification) -> ImageClassification:
    make, short = partial(ResidualNetwork, widths=WIDTHS), replace(small_recipe.schedule, epochs=1)
    return replace(small_recipe, name="digits-none", make=make, schedule=short, attention=AttentionType.NONE)


@pytest.fixture(scope="module")
def plug_in(plain: ImageClassification) -> PlugIn:
    make = partial(ResidualNetwork, AttentionType.SIMAM, widths=WIDTHS)
    return PlugIn(plain, replace(plain, name="digits-plug-in", make=make, attention=AttentionType.SIMAM))


@pytest.fixture(scope="module")
def trained(plain: ImageClassification, digits: ImageDataset) -> Trained:
    return train(plain, digits)


def test_the_plugged_network_has_the_trained_weights_all_of_them_and_no_others(
    plug_in: PlugIn, trained: Trained, digits: ImageDataset
) -> None:
    plugged = train(plug_in, digits, weights=trained.module.state_dict()).module.state_dict()
    expected = trained.module.state_dict()
    assert plugged.keys() == expected.keys()
    assert all(torch.equal(plugged[name], expected[name]) for name in expected)


def test_the_published_card_tells_the_accuracy_before_and_after_and_where_the_weights_come_from(
    cache: Path, tmp_path: Path, plug_in: PlugIn, trained: Trained
) -> None:
    save_trained(plug_in.start, trained)
    folder = export_recipe(plug_in, tmp_path / "repository")
    card = ModelCard.model_validate_json((folder / "card.json").read_text())
    assert card.metrics["accuracy_before"] == trained.metrics["accuracy"]
    assert card.metrics["accuracy"] != card.metrics["accuracy_before"]
    assert card.attention == AttentionType.SIMAM
    assert card.training is not None
    assert card.training.started_from == "digits-none"
    assert sorted(file.name.split("-")[1] for file in (cache / "trained").iterdir()) == ["none", "plug"]
