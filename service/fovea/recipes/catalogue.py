"""The recipes: one per model that Fovea trains, exports and serves."""

from __future__ import annotations

from typing import Any

from fovea.recipes.images.fashion_models import FASHION_MODELS
from fovea.recipes.memory.memory_models import MEMORY_MODELS
from fovea.recipes.recipe import Recipe

RECIPES: dict[str, Recipe[Any]] = {recipe.name: recipe for recipe in (*FASHION_MODELS, *MEMORY_MODELS)}
"""Model name -> recipe. Another task adds its recipes here, out of its own folder."""
