"""The recipes of one network with each score, soft and hard: they differ in nothing but their glimpse."""

from __future__ import annotations

from functools import cache

from fovea.contract.attention import AttentionType
from fovea.recipes.pronunciation import cmudict
from fovea.recipes.pronunciation.stressed_vowel import StressedVowel
from fovea.recipes.recipe import Schedule

_SCHEDULE = Schedule(epochs=6, batch_rows=256, weight_decay=0.01, label_smoothing=0.0)

_load = cache(cmudict.load)
"""Once for all of them."""

_MODELS = {
    "glimpse-none": AttentionType.NONE,
    "glimpse-distance": AttentionType.DISTANCE,
    "glimpse-dot": AttentionType.DOT,
    "glimpse-scaled-dot": AttentionType.SCALED_DOT,
    "glimpse-additive": AttentionType.ADDITIVE,
    "glimpse-bilinear": AttentionType.BILINEAR,
    "glimpse-hard-argmax": AttentionType.HARD_ARGMAX,
    "glimpse-hard-sample": AttentionType.HARD_SAMPLE,
}
_HARD = (AttentionType.HARD_ARGMAX, AttentionType.HARD_SAMPLE)
_ESTIMATOR = "straight_through"
"""Accuracy by the most probable letter and by a drawn one: straight-through 73.3 and 72.4 %, Gumbel-softmax 72.9 and
72.3 %, score function 62.4 and 62.4 %; soft attention by the same score 74.8 %, the mean of all letters 69.4 %."""

GLIMPSE_MODELS = tuple(
    StressedVowel(name, attention, _load, _SCHEDULE, _ESTIMATOR if attention in _HARD else None)
    for name, attention in _MODELS.items()
)
