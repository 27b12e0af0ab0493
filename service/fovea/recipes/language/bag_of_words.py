"""What a classifier of texts has to be better than: a linear model of the words in a text, whatever their order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.recipes.language.labelled_texts import Labelled, LabelledTexts
from fovea.recipes.recipe import Schedule, Trained
from fovea.recipes.subject import Subject

_WORD = re.compile(r"\w+")
_TIMES = 2
"""A word that training has seen once tells nothing of others' texts."""


@dataclass(frozen=True)
class BagOfWords:
    """The recipe; it is measured, not exported."""

    name: str
    labels: tuple[str, ...]
    schedule: Schedule
    load: Callable[[], LabelledTexts]
    seed: int = 0

    def data(self) -> LabelledTexts:
        """The texts."""
        return self.load()

    def network(self) -> nn.Module:
        """A row of logits for each word, the bias for the last one, which every text has."""
        table = nn.EmbeddingBag(len(self._places) + 1, len(self.labels), mode="sum")
        nn.init.zeros_(table.weight)
        return table

    def loss(self, module: nn.Module, data: LabelledTexts, chosen: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Cross entropy of the chosen texts."""
        texts = [data.train[place] for place in chosen.tolist()]
        return F.cross_entropy(self._logits(module, texts), _labels(texts))

    def evaluation(self, module: nn.Module, data: LabelledTexts) -> Mapping[str, float]:
        """The share of the test texts whose largest logit is their label."""
        with torch.no_grad():
            right = self._logits(module, data.test).argmax(1) == _labels(data.test)
        return {"accuracy": float(right.double().mean())}

    def subject(self, trained: Trained, data: LabelledTexts) -> Subject:
        """Is not exported."""
        raise NotImplementedError

    def facts(self) -> Mapping[str, Any]:
        """The labels, and which texts."""
        return {"labels": self.labels, "texts": self.load().name}

    @cached_property
    def _places(self) -> dict[str, int]:
        count = Counter(chain.from_iterable(_words(text) for text, _ in self.load().train))
        return {word: place for place, word in enumerate(sorted(word for word in count if count[word] >= _TIMES))}

    def _logits(self, module: nn.Module, texts: Labelled) -> Tensor:
        bags = [[self._places[word] for word in _words(text) if word in self._places] for text, _ in texts]
        starts = torch.tensor([0, *(len(bag) + 1 for bag in bags)][:-1]).cumsum(0)
        flat = torch.tensor([place for bag in bags for place in (*bag, len(self._places))])
        logits: Tensor = module(flat, starts)
        return logits


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _labels(texts: Sequence[tuple[str, int]]) -> Tensor:
    return torch.tensor([label for _, label in texts])
