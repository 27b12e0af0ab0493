"""The recipes: one per model that Fovea trains, exports and serves."""

from __future__ import annotations

from typing import Any

from fovea.recipes.digits.digit_models import DIGIT_MODELS
from fovea.recipes.fetched import Fetched
from fovea.recipes.images.fashion_models import FASHION_MODELS, FASHION_PLUG_IN
from fovea.recipes.language.gloss_models import GLOSS_MODELS
from fovea.recipes.language.minilm import MINILM
from fovea.recipes.memory.memory_models import MEMORY_MODELS
from fovea.recipes.pronunciation.glimpse_models import GLIMPSE_MODELS
from fovea.recipes.recipe import Recipe

_ALL: tuple[Recipe[Any], ...] = (
    *FASHION_MODELS,
    FASHION_PLUG_IN,
    *GLIMPSE_MODELS,
    *MEMORY_MODELS,
    *DIGIT_MODELS,
    *GLOSS_MODELS,
)
RECIPES = {recipe.name: recipe for recipe in _ALL}
"""Model name -> recipe. Another task adds its recipes here, out of its own folder."""
FETCHED = {fetched.name: fetched for fetched in (MINILM,)}
"""Model name -> a model whose weights others have trained."""
EVERY: dict[str, Recipe[Any] | Fetched] = {**RECIPES, **FETCHED}
"""All that `fovea export` knows by name."""
