"""An encoder learns to predict masked words, then to classify, on texts small enough for a test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fovea.export.recipes import trained_recipe
from fovea.networks.text_encoder import EncoderSize, TextClassifier
from fovea.recipes.language.bag_of_words import BagOfWords
from fovea.recipes.language.batches import filled
from fovea.recipes.language.labelled_texts import LabelledTexts
from fovea.recipes.language.masked_language import MaskedLanguage
from fovea.recipes.language.subwords import SPECIAL, trained_tokenizer
from fovea.recipes.language.text_classification import PretrainedTextClassification
from fovea.recipes.recipe import Schedule, untrained
from fovea.recipes.training import train

DRAW = np.random.default_rng(0)
ANIMALS, PLACES = ("dog", "cat", "horse", "cow"), ("town", "river", "street", "house")
WORDS = ("a small", "the old", "one of the", "his", "her own", "that very")


def text(label: int) -> str:
    """Of an animal, or of a place."""
    parts = (WORDS, (ANIMALS, PLACES)[label], ("by day", "at night", ""))
    return " ".join(str(DRAW.choice(part)) for part in parts).strip()


TEXTS = [(text(place % 2), place % 2) for place in range(400)]
DATA = LabelledTexts("animals and places", ("animal", "place"), train=TEXTS[:320], test=TEXTS[320:])
SCHEDULE = Schedule(epochs=4, batch_rows=32, peak_learning_rate=5e-3)
RECIPE = PretrainedTextClassification(
    name="animals",
    size=EncoderSize(vocabulary=300, width=32, heads=2, depth=1, inner=32, longest=12),
    labels=DATA.labels,
    schedule=SCHEDULE,
    load=lambda: DATA,
    pretraining=SCHEDULE,
    further_texts=lambda: ["The dog went by the river at night, and the cat by the old house."] * 8,
)


@pytest.fixture(scope="module")
def start() -> MaskedLanguage:
    return RECIPE.start


def test_masked_words_are_learnt_and_the_classifier_begins_with_what_was_learnt(start: MaskedLanguage) -> None:
    sentences = start.data()
    before = start.evaluation(untrained(start).eval(), sentences)["masked_loss"]
    pretrained = train(start, sentences)
    assert pretrained.metrics["masked_loss"] < 0.8 * before
    resting = replace(RECIPE, schedule=replace(SCHEDULE, epochs=0))
    begun = train(resting, DATA, weights=pretrained.module.state_dict()).module
    assert isinstance(begun, TextClassifier)
    assert start.evaluation(begun, sentences) == pretrained.metrics
    assert train(RECIPE, DATA, weights=pretrained.module.state_dict()).metrics["accuracy"] > 0.9


WORDS_ALONE = BagOfWords("words", DATA.labels, replace(SCHEDULE, epochs=20), lambda: DATA)


def test_words_alone_are_a_linear_model_of_which_words_a_text_has() -> None:
    assert train(WORDS_ALONE, DATA).metrics["accuracy"] > 0.9


def test_beside_its_accuracy_stands_what_others_reach_on_the_same_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    unlearnt = replace(WORDS_ALONE, name="unlearnt", schedule=replace(SCHEDULE, epochs=0))
    recipe = replace(RECIPE, others={"of_words_alone": WORDS_ALONE, "unlearnt": unlearnt})
    metrics = trained_recipe(recipe).metrics
    assert metrics["accuracy_of_words_alone"] == train(WORDS_ALONE, DATA).metrics["accuracy"]
    assert metrics["accuracy_unlearnt"] < metrics["accuracy"]


def test_a_text_is_answered_as_alone_however_it_is_filled_up() -> None:
    module = untrained(RECIPE).eval()
    rows = [RECIPE.row(text) for text in ("a dog", "one of the old cows by the river")]
    tokens, mask = filled(rows, 0)
    with torch.no_grad():
        together = module(tokens, mask)
        alone = [module(*filled([row], 0)) for row in rows]
        spoilt = module(torch.where(mask, tokens, torch.tensor(7)), mask)
    torch.testing.assert_close(together, torch.cat(alone))
    torch.testing.assert_close(spoilt, together)


def test_the_same_texts_make_the_same_tokenizer_with_its_special_tokens_first() -> None:
    texts = [text for text, _ in DATA.train]
    again, content = trained_tokenizer(texts, 300), trained_tokenizer(texts, 300)
    assert again == content
    assert RECIPE.row("a dog")[[0, -1]].tolist() == [SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")]
