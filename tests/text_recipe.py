"""A recipe of another task: a text classifier with self-attention, that reads Unicode's names of characters.

The data come with Python: "GREEK SMALL LETTER ALPHA" is the name of a lowercase letter. It learns in seconds.
"""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.multi_head import MultiHeadAttention
from fovea.contract.attention import AttentionType
from fovea.contract.input_steps import InputSteps
from fovea.contract.lengths import LengthSpec
from fovea.inputs.text_maker import TextMaker, data_mask
from fovea.recipes.recipe import Schedule, Trained
from fovea.recipes.subject import Subject

LABELS = {"Lu": "uppercase letter", "Ll": "lowercase letter", "Nd": "digit", "Mn": "mark", "Sm": "mathematical symbol"}
UNKNOWN, PAD = "[UNK]", "[PAD]"
STEPS = InputSteps.model_validate(
    [
        {"step": "text"},
        {"step": "unicode", "form": "NFKC"},
        {"step": "lowercase"},
        {"step": "split", "into": "words"},
        {"step": "vocabulary", "unknown": UNKNOWN, "pad": PAD, "most_tokens": 32},
    ]
)
_WORDS = 500
_EACH = 600


@dataclass(frozen=True)
class Texts:
    """Labelled texts, and the words that the training texts have most often."""

    name: str
    train: Sequence[tuple[str, int]]
    test: Sequence[tuple[str, int]]
    vocabulary: str

    @property
    def rows(self) -> int:
        return len(self.train)


def character_names() -> Texts:
    """Names of characters, up to 600 of each label, in a shuffled order that is always the same."""
    found: dict[str, list[str]] = {category: [] for category in LABELS}
    for code in range(sys.maxunicode):
        kind = unicodedata.category(chr(code))
        if kind in found and (name := unicodedata.name(chr(code), "")):
            found[kind].append(name)
    draw = np.random.default_rng(0)
    labelled = [
        (names[place], label)
        for label, names in enumerate(found.values())
        for place in draw.permutation(len(names))[:_EACH]
    ]
    shuffled = [labelled[place] for place in draw.permutation(len(labelled))]
    test, train = shuffled[:500], shuffled[500:]
    words = Counter(word for text, _ in train for word in text.lower().split())
    vocabulary = [PAD, UNKNOWN, *(word for word, _ in words.most_common(_WORDS))]
    return Texts("Unicode character names", train, test, "\n".join(vocabulary) + "\n")


class TextClassifier(nn.Module):
    """tokens (B, T) int64, mask (B, T) bool -> logits (B, classes): attention, then the mean of what it gives."""

    def __init__(self, words: int, classes: int, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.attention = MultiHeadAttention(width, 4)
        self.classify = nn.Linear(width, classes)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        embedded = self.embed(tokens)
        hidden = embedded + self.attention(embedded, mask[:, None, None, :])
        weights = mask[..., None].to(hidden.dtype)
        logits: Tensor = self.classify((hidden * weights).sum(1) / weights.sum(1))
        return logits


@dataclass(frozen=True)
class TextClassification:
    """The recipe."""

    name: str
    schedule: Schedule
    load: Callable[[], Texts] = character_names
    seed: int = 0

    @property
    def subject_steps(self) -> dict[str, InputSteps]:
        return {"tokens": STEPS}

    def data(self) -> Texts:
        return self._texts

    @cached_property
    def _texts(self) -> Texts:
        return self.load()

    @cached_property
    def maker(self) -> TextMaker:
        """What makes rows of texts: the server's own."""
        return TextMaker(STEPS, lambda _: self._texts.vocabulary)

    def network(self) -> nn.Module:
        return TextClassifier(len(self.maker.vocabulary), len(LABELS))

    def loss(self, module: nn.Module, data: Texts, chosen: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        return F.cross_entropy(*self._answered(module, [data.train[place] for place in chosen.tolist()]))

    def evaluation(self, module: nn.Module, data: Texts) -> Mapping[str, float]:
        with torch.no_grad():
            logits, labels = self._answered(module, data.test)
        return {"accuracy": float((logits.argmax(1) == labels).double().mean())}

    def subject(self, trained: Trained, data: Texts) -> Subject:
        return Subject(
            name=self.name,
            module=trained.module,
            rows=partial(self._test_rows, data),
            output_names=("logits",),
            attention=AttentionType.MULTI_HEAD,
            labels=tuple(LABELS.values()),
            input_steps=self.subject_steps,
            files={"vocabulary.txt": data.vocabulary},
            metrics=trained.metrics,
            training=trained.training,
            lengths={"text": LengthSpec(inputs={"tokens": 1}, mask="mask", buckets=(8, 16, 32))},
        )

    def facts(self) -> Mapping[str, Any]:
        return {"steps": STEPS.model_dump(), "vocabulary": self._texts.vocabulary}

    def _answered(self, module: nn.Module, labelled: Sequence[tuple[str, int]]) -> tuple[Tensor, Tensor]:
        rows = self.rows([text for text, _ in labelled])
        logits = module(torch.from_numpy(rows["tokens"]), torch.from_numpy(rows["mask"]))
        return logits, torch.tensor([label for _, label in labelled])

    def _test_rows(self, data: Texts, rows: int) -> dict[str, NDArray[Any]]:
        return self.rows([text for text, _ in data.test[:rows]])

    def rows(self, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
        """What the network takes."""
        rows = [self.maker.row(text.encode()) for text in texts]
        return {"tokens": self.maker.joined(rows), "mask": data_mask(rows)}
