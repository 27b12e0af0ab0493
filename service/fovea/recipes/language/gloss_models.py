"""The recipes of encoders that read WordNet's glosses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from fovea.networks.text_encoder import EncoderSize
from fovea.recipes.language import wordnet, world_english_bible
from fovea.recipes.language.bag_of_words import BagOfWords
from fovea.recipes.language.labelled_texts import LabelledTexts
from fovea.recipes.language.text_classification import PretrainedTextClassification, TextClassification
from fovea.recipes.recipe import Schedule
from fovea.recipes.training import train

_FACTS: dict[str, Any] = {
    "size": EncoderSize(vocabulary=4096, width=128, heads=4, depth=2, inner=384, longest=256),
    "labels": wordnet.LABELS,
    "schedule": Schedule(epochs=3, batch_rows=256, peak_learning_rate=2e-3, bfloat16=True),
    "load": cache(wordnet.load),
}
WITHOUT_PRETRAINING = TextClassification(name="gloss-without-pretraining", **_FACTS)
_WORDS = Schedule(epochs=5, peak_learning_rate=2e-2, weight_decay=1e-4)


def _others(data: LabelledTexts) -> Mapping[str, float]:
    """The same network without pre-training, and a linear model of the words alone: both are trained here."""
    alone = train(replace(WITHOUT_PRETRAINING, schedule=_within(WITHOUT_PRETRAINING.schedule, data)), data)
    words = train(BagOfWords("gloss-words", data, _within(_WORDS, data)), data)
    return {
        "accuracy_without_pretraining": alone.metrics["accuracy"],
        "accuracy_of_words_alone": words.metrics["accuracy"],
    }


def _within(schedule: Schedule, data: LabelledTexts) -> Schedule:
    """With some batches in an epoch, however few texts there are."""
    return replace(schedule, batch_rows=min(schedule.batch_rows, max(1, data.rows // 3)))


BERT_GLOSS = PretrainedTextClassification(
    name="bert-gloss",
    **_FACTS,
    others=_others,
    filling=Schedule(epochs=2, batch_rows=256, peak_learning_rate=3e-3, bfloat16=True),
    further_texts=world_english_bible.sentences,
)
GLOSS_MODELS = (BERT_GLOSS,)
