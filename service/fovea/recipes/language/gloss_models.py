"""The recipes of encoders that read WordNet's glosses."""

from __future__ import annotations

from functools import cache
from typing import Any

from fovea.networks.text_encoder import EncoderSize
from fovea.recipes.language import wordnet, world_english_bible
from fovea.recipes.language.bag_of_words import BagOfWords
from fovea.recipes.language.text_classification import PretrainedTextClassification, TextClassification
from fovea.recipes.recipe import Schedule

_FACTS: dict[str, Any] = {
    "size": EncoderSize(vocabulary=8192, width=128, heads=2, depth=1, inner=512, longest=256),
    "labels": wordnet.LABELS,
    "schedule": Schedule(epochs=2, batch_rows=256, peak_learning_rate=2e-3, bfloat16=True),
    "load": cache(wordnet.load),
}
WITHOUT_PRETRAINING = TextClassification(name="gloss-without-pretraining", **_FACTS)
WORDS_ALONE = BagOfWords(
    name="gloss-words-alone",
    labels=wordnet.LABELS,
    schedule=Schedule(epochs=5, peak_learning_rate=2e-2, weight_decay=1e-4),
    load=_FACTS["load"],
)
BERT_GLOSS = PretrainedTextClassification(
    name="bert-gloss",
    **_FACTS,
    others={"without_pretraining": WITHOUT_PRETRAINING, "of_words_alone": WORDS_ALONE},
    pretraining=Schedule(epochs=1, batch_rows=256, peak_learning_rate=3e-3, bfloat16=True),
    further_texts=world_english_bible.sentences,
)
GLOSS_MODELS = (BERT_GLOSS,)
