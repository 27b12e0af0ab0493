"""The recipes: one per model that Fovea trains, exports and serves."""

from __future__ import annotations

from typing import Any

from fovea.recipes.digits.digit_models import DIGIT_MODELS
from fovea.recipes.images.fashion_models import FASHION_MODELS, FASHION_PLUG_IN
from fovea.recipes.memory.memory_models import MEMORY_MODELS
from fovea.recipes.pronunciation.glimpse_models import GLIMPSE_MODELS
from fovea.recipes.recipe import Recipe

_ALL: tuple[Recipe[Any], ...] = (*FASHION_MODELS, FASHION_PLUG_IN, *GLIMPSE_MODELS, *MEMORY_MODELS, *DIGIT_MODELS)
RECIPES = {recipe.name: recipe for recipe in _ALL}
"""Model name -> recipe. Another task adds its recipes here, out of its own folder."""
