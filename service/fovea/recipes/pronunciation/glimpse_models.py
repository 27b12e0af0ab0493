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

GLIMPSE_MODELS = tuple(
    StressedVowel(name, attention, _load, _SCHEDULE, "straight_through" if attention in _HARD else None)
    for name, attention in _MODELS.items()
)
