"""The glimpse networks learn, whatever they are taught by, and differ in nothing but their score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from fovea.contract.attention import AttentionType
from fovea.recipes.pronunciation.cmudict import Spellings
from fovea.recipes.pronunciation.glimpse_models import GLIMPSE_MODELS
from fovea.recipes.pronunciation.stressed_vowel import StressedVowel
from fovea.recipes.recipe import Schedule, untrained
from fovea.recipes.training import train

MODELS = {recipe.name: recipe for recipe in GLIMPSE_MODELS}
BRIEF = Schedule(epochs=15, batch_rows=32, peak_learning_rate=1e-2, label_smoothing=0.0)
LEAST_ACCURACY = 0.9


def first_vowels() -> Spellings:
    """Made-up words, whose answer is their only a, e, i or o: what a single glimpse finds."""
    draw = np.random.default_rng(0)
    answers = draw.integers(0, 4, 700)
    words = []
    for answer in answers:
        letters = [*draw.choice(list("bcdfgklmnprst"), draw.integers(4, 12))]
        letters.insert(draw.integers(0, len(letters)), "aeio"[answer])
        words.append("".join(letters))
    return Spellings("made up", tuple(words[:600]), answers[:600], tuple(words[600:]), answers[600:])


def brief(name: str, estimator: str | None) -> StressedVowel:
    return replace(MODELS[name], schedule=BRIEF, load=first_vowels, estimator=estimator)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """So small a network learns slowly on two that wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("name", "estimator"),
    [
        ("glimpse-scaled-dot", None),
        ("glimpse-hard-argmax", "straight_through"),
        ("glimpse-hard-sample", "gumbel_softmax"),
        ("glimpse-hard-sample", "score_function"),
    ],
)
def test_a_glimpse_learns_where_to_look(name: str, estimator: str | None) -> None:
    recipe = brief(name, estimator)
    assert train(recipe, recipe.data()).metrics["accuracy"] > LEAST_ACCURACY


def test_members_differ_in_the_parameters_of_their_score_alone() -> None:
    def shapes(recipe: StressedVowel) -> dict[str, tuple[int, ...]]:
        parameters = untrained(recipe).state_dict().items()
        return {name: tuple(value.shape) for name, value in parameters if not name.startswith("glimpse")}

    attentive = [recipe for recipe in GLIMPSE_MODELS if recipe.attention is not AttentionType.NONE]
    assert all(shapes(recipe) == shapes(attentive[0]) for recipe in attentive)
    assert all(recipe.schedule == attentive[0].schedule for recipe in GLIMPSE_MODELS)


def test_rows_are_made_by_the_servers_own_steps_and_have_seeds_where_keys_are_drawn() -> None:
    rows = partial(StressedVowel.rows, words=("Banana", "cab"), first_seed=7)
    assert {name: array.tolist() for name, array in rows(MODELS["glimpse-hard-sample"]).items()} == {
        "letters": [[2, 1, 14, 1, 14, 1], [3, 1, 2, 0, 0, 0]],
        "mask": [[True] * 6, [True] * 3 + [False] * 3],
        "seed": [7, 8],
    }
    assert list(rows(MODELS["glimpse-dot"])) == ["letters", "mask"]
