"""Training, for real, on a few digits; checkpoints; the catalogue."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from fovea.contract.errors import ExportFailed
from fovea.contract.model_card import Training
from fovea.recipes.catalogue import RECIPES
from fovea.recipes.checkpoint import UnfinishedTraining, checkpoint_path, load_trained, save_trained
from fovea.recipes.images.augmentation import Augmentation
from fovea.recipes.images.classification import ImageClassification
from fovea.recipes.images.dataset import ImageDataset
from fovea.recipes.images.fashion_models import FASHION_MODELS
from fovea.recipes.progress import progress_bar
from fovea.recipes.recipe import Trained, untrained
from fovea.recipes.training import train


@pytest.fixture(scope="module")
def trained(small_recipe: ImageClassification, digits: ImageDataset) -> Trained:
    return train(small_recipe, digits)


def _weights(trained: Trained) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in trained.module.state_dict().values()])


def test_a_short_training_learns_digits(trained: Trained) -> None:
    assert trained.metrics["accuracy"] > 0.7


def test_a_trained_model_says_where_it_comes_from(trained: Trained, small_recipe: ImageClassification) -> None:
    assert trained.training == Training(data="digits", seed=small_recipe.seed, epochs=4, rows=700)
    assert not trained.module.training


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    small_recipe: ImageClassification, digits: ImageDataset
) -> None:
    short = replace(small_recipe, schedule=replace(small_recipe.schedule, epochs=1))
    first, again = train(short, digits), train(short, digits)
    other = train(replace(short, seed=1), digits)
    assert torch.equal(_weights(first), _weights(again))
    assert not torch.equal(_weights(first), _weights(other))


class _Interrupted(Exception):
    """The power fails."""


def test_an_interrupted_training_goes_on_to_the_weights_that_it_would_have_had(
    cache: Path, small_recipe: ImageClassification, digits: ImageDataset
) -> None:
    short = replace(small_recipe.schedule, epochs=2)
    recipe = replace(small_recipe, schedule=short, augmentation=Augmentation(flip=True))
    steps_seen: list[int] = []

    def fail_in_the_second_epoch(done: int, steps: int, _loss: float) -> None:
        if done > steps * 0.6:
            raise _Interrupted

    with pytest.raises(_Interrupted):
        train(recipe, digits, fail_in_the_second_epoch, epochs=UnfinishedTraining(recipe))
    resumed = train(recipe, digits, lambda done, *_: steps_seen.append(done), epochs=UnfinishedTraining(recipe))
    steps = recipe.schedule.epochs * (digits.rows // recipe.schedule.batch_rows)
    assert steps_seen == list(range(steps // 2 + 1, steps + 1))
    assert torch.equal(_weights(resumed), _weights(train(recipe, digits)))
    UnfinishedTraining(recipe).discard()
    assert not list((cache / "trained").iterdir())


def test_a_checkpoint_gives_the_trained_model_back(
    cache: Path, trained: Trained, small_recipe: ImageClassification, digits: ImageDataset
) -> None:
    assert load_trained(small_recipe) is None
    path = save_trained(small_recipe, trained)
    loaded = load_trained(small_recipe)
    assert loaded is not None
    assert cache in path.parents
    assert (loaded.metrics, loaded.training) == (trained.metrics, trained.training)
    images = torch.from_numpy(small_recipe.rows(digits.test_images[:7]))
    assert torch.equal(loaded.module(images), trained.module(images))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_damaged_checkpoint_is_named_in_one_line(
    cache: Path, trained: Trained, small_recipe: ImageClassification, share: float
) -> None:
    path = save_trained(small_recipe, trained)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    path.write_bytes(unfinished.read_bytes())
    assert cache in path.parents
    for damaged, load in (
        (path, lambda: load_trained(small_recipe)),
        (unfinished, UnfinishedTraining(small_recipe).load),
    ):
        with pytest.raises(ExportFailed) as refusal:
            load()
        assert str(refusal.value) == f"{damaged} is damaged: delete it, and that training is done again"


def test_a_changed_recipe_finds_no_old_checkpoint(
    cache: Path, trained: Trained, small_recipe: ImageClassification
) -> None:
    save_trained(small_recipe, trained)
    assert cache.is_dir()
    assert load_trained(replace(small_recipe, seed=9)) is None
    assert load_trained(replace(small_recipe, make=FASHION_MODELS[1].make)) is None


def test_every_recipe_has_its_own_checkpoint_and_the_name_it_is_listed_by() -> None:
    assert all(recipe.name == name for name, recipe in RECIPES.items())
    assert len({checkpoint_path(recipe) for recipe in RECIPES.values()}) == len(RECIPES)


@pytest.mark.parametrize("recipe", FASHION_MODELS, ids=lambda recipe: recipe.name)
def test_a_recipe_builds_the_same_network_every_time_with_one_output_per_label(recipe: ImageClassification) -> None:
    first, again = untrained(recipe).eval(), untrained(recipe).eval()
    image = torch.ones(1, 1, recipe.preprocessing.height, recipe.preprocessing.width)
    assert first(image).shape == (1, len(recipe.labels))
    assert torch.equal(first(image), again(image))


def test_building_leaves_the_random_numbers_of_the_caller_alone() -> None:
    before = torch.get_rng_state()
    untrained(RECIPES["fashion-se"])
    assert torch.equal(before, torch.get_rng_state())


def test_the_progress_bar_names_the_model_and_its_loss() -> None:
    screen = io.StringIO()
    with progress_bar("fashion-se", Console(file=screen, width=100)) as progress:
        progress(2, 4, 0.25)
    assert "fashion-se" in screen.getvalue()
    assert "50%" in screen.getvalue()
    assert "0.250" in screen.getvalue()
