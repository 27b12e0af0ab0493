"""The recipes of the memory networks that come with Fovea. Both find facts by one vector and read another one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from torch import Tensor, nn

from fovea.contract.attention import AttentionType
from fovea.networks.key_value_memory import KeyValueMemoryNetwork
from fovea.networks.memory_network import MemoryNetwork
from fovea.recipes.memory import countries
from fovea.recipes.memory.answering import QuestionAnswering
from fovea.recipes.memory.questions import Form, as_keys_and_values, as_sentences
from fovea.recipes.recipe import Schedule

_STORIES = 240_000
"""Each is seen twice: sixty thousand are learnt by heart when they are seen sixteen times."""
_EPOCHS = 2
_load = cache(countries.load)
"""Once for all of them."""


def _recipe(name: str, make: Callable[[int, Tensor], nn.Module], form: Form) -> QuestionAnswering:
    return QuestionAnswering(
        name=name,
        attention=AttentionType.KEY_VALUE,
        make=make,
        form=form,
        schedule=Schedule(_EPOCHS, batch_rows=64, peak_learning_rate=4e-3, weight_decay=0.05, label_smoothing=0.02),
        load=_load,
        training_stories=_STORIES,
    )


MEMORY_MODELS = (
    _recipe("memn2n-countries", MemoryNetwork, as_sentences),
    _recipe("kv-memnn-countries", KeyValueMemoryNetwork, as_keys_and_values),
)
"""Three hops each: as many as the longest way to an answer has facts."""
