"""Masked-language-model training (Devlin et al. 2019, arXiv:1810.04805, section 3.1): 15 % of the tokens are predicted.

Of those 80 % are replaced by the mask's token, 10 % by any token, and 10 % stay. Differs from the paper: nothing is
trained that is thrown away afterwards; the logits are the products of a token's vector with the encoder's own table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.networks.text_encoder import EncoderSize, TextClassifier
from fovea.recipes.language.batches import Row, by_length, filled
from fovea.recipes.language.subwords import MASK, PAD, SPECIAL
from fovea.recipes.recipe import Schedule, Trained
from fovea.recipes.subject import Subject

_PREDICTED = 0.15
_PAD, _MASK = SPECIAL.index(PAD), SPECIAL.index(MASK)


@dataclass(frozen=True)
class Sentences:
    """Rows of token ids."""

    name: str
    train: Sequence[Row]
    test: Sequence[Row]

    @property
    def rows(self) -> int:
        """Training sentences."""
        return len(self.train)

    def sample(self, rows: int) -> Self:
        """The same with so few sentences in each part."""
        return replace(self, train=self.train[:rows], test=self.test[:rows])


@dataclass(frozen=True)
class MaskedLanguage:
    """The recipe: what it trains of a classifier is the encoder."""

    name: str
    size: EncoderSize
    classes: int
    schedule: Schedule
    load: Callable[[], Sentences]
    longest: int
    """Tokens of a sentence that it reads: attention's memory grows with their square."""
    seed: int = 0

    def data(self) -> Sentences:
        """The sentences."""
        return self.load()

    def network(self) -> nn.Module:
        """The classifier, as random numbers make it."""
        return TextClassifier(self.size, self.classes)

    def loss(self, module: nn.Module, data: Sentences, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy of the predicted tokens of all chosen sentences together."""
        return self._loss(module, [data.train[place] for place in chosen.tolist()], generator)

    def evaluation(self, module: nn.Module, data: Sentences) -> Mapping[str, float]:
        """The mean cross entropy of the test sentences, with the same tokens predicted each time."""
        with torch.no_grad():
            return {"masked_loss": self._loss(module, data.test, torch.Generator().manual_seed(0)).item()}

    def subject(self, trained: Trained, data: Sentences) -> Subject:
        """Is not exported: what is trained further out of it is."""
        raise NotImplementedError

    def facts(self) -> Mapping[str, Any]:
        """The size, and how much it reads."""
        return {"size": asdict(self.size), "longest": self.longest}

    def _loss(self, module: nn.Module, rows: Sequence[Row], generator: torch.Generator) -> Tensor:
        assert isinstance(module, TextClassifier)
        encoder, total, count = module.mean.encoder, torch.zeros(()), 0
        cut = [row[: self.longest] for row in rows]
        for places in by_length(cut):
            tokens, mask = filled([cut[place] for place in places], _PAD)
            predicted = mask & (torch.rand(mask.shape, generator=generator) < _PREDICTED)
            hidden = encoder(_corrupted(tokens, predicted, self.size.vocabulary, generator), mask)[predicted]
            logits = F.linear(hidden, encoder.words.weight).float()
            total = total + F.cross_entropy(logits, tokens[predicted], reduction="sum")
            count += len(logits)
        return total / max(count, 1)


def _corrupted(tokens: Tensor, predicted: Tensor, vocabulary: int, generator: torch.Generator) -> Tensor:
    """The tokens as the model sees them."""
    draw = torch.rand(tokens.shape, generator=generator)
    other = torch.randint(len(SPECIAL), vocabulary, tokens.shape, generator=generator)
    masked = torch.where(predicted & (draw < 0.8), torch.full_like(tokens, _MASK), tokens)
    return torch.where(predicted & (draw >= 0.9), other, masked)
