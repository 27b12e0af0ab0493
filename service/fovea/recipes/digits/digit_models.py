"""The recipe of the recurrent attention model that comes with Fovea."""

from __future__ import annotations

from functools import cache

from fovea.networks.recurrent_attention import RecurrentAttention
from fovea.recipes.digits import mnist
from fovea.recipes.digits.glimpsing import Glimpsing
from fovea.recipes.recipe import Schedule

_SCHEDULE = Schedule(epochs=20, peak_learning_rate=3e-3, weight_decay=1e-4, label_smoothing=0.0)

DIGIT_MODELS = (Glimpsing("ram-mnist", RecurrentAttention, _SCHEDULE, cache(mnist.load)),)
