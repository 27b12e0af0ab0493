"""The recipes of the memory networks that come with Fovea."""

from __future__ import annotations

from functools import cache

from fovea.contract.attention import AttentionType
from fovea.networks.key_value_memory import KeyValueMemoryNetwork
from fovea.networks.memory_network import MemoryNetwork
from fovea.recipes.memory import countries
from fovea.recipes.memory.answering import QuestionAnswering
from fovea.recipes.memory.questions import as_keys_and_values, as_sentences
from fovea.recipes.recipe import Schedule

_SCHEDULE = Schedule(epochs=10, batch_rows=64, peak_learning_rate=1e-2, weight_decay=1e-3, label_smoothing=0.0)
_STORIES = 60_000
_load = cache(countries.load)
"""Once for all of them."""

MEMORY_MODELS = (
    QuestionAnswering("memn2n-countries", AttentionType.DOT, MemoryNetwork, as_sentences, _SCHEDULE, _load, _STORIES),
    QuestionAnswering(
        "kv-memnn-countries", AttentionType.DOT, KeyValueMemoryNetwork, as_keys_and_values, _SCHEDULE, _load, _STORIES
    ),
)
"""Three hops each: as many as the longest way to an answer has facts."""
