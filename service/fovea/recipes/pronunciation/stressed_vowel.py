"""The recipe of a network that hears which vowel of a written word bears the stress: "banana" -> AE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention import hard_training
from fovea.contract.attention import AttentionType
from fovea.contract.input_steps import InputSteps
from fovea.contract.lengths import LengthSpec
from fovea.inputs.text_maker import TextMaker, data_mask
from fovea.networks.glimpse_network import GlimpseNetwork
from fovea.recipes.pronunciation.cmudict import VOWELS, Spellings
from fovea.recipes.recipe import Schedule, Trained
from fovea.recipes.subject import Subject

LETTERS, MASK, SEED, LOGITS = "letters", "mask", "seed", "logits"
PAD = "[PAD]"
VOCABULARY = "\n".join([PAD, *"abcdefghijklmnopqrstuvwxyz"]) + "\n"
STEPS = InputSteps.model_validate(
    [
        {"step": "text"},
        {"step": "lowercase"},
        {"step": "split", "into": "characters"},
        {"step": "vocabulary", "pad": PAD, "most_tokens": 32},
    ]
)
_MAKER = TextMaker(STEPS, lambda _: VOCABULARY)
_EVALUATION_ROWS = 1000
_TEMPERATURE = 1.0

Estimator = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]


@dataclass(frozen=True)
class StressedVowel:
    """Takes words of letters in the order of `VOCABULARY`, and where a key is drawn a seed for each; gives logits."""

    name: str
    attention: AttentionType
    load: Callable[[], Spellings]
    schedule: Schedule
    estimator: str | None = None
    """Of a hard glimpse: which function of `hard_training` it learns by."""
    seed: int = 0

    def data(self) -> Spellings:
        """English words and their stressed vowels."""
        return self.load()

    def network(self) -> nn.Module:
        """The network, as random numbers make it."""
        return GlimpseNetwork(self.attention, len(_MAKER.vocabulary), len(VOWELS))

    def loss(self, module: nn.Module, data: Spellings, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy of the chosen words; of a hard glimpse, with the gradient of its estimator."""
        assert isinstance(module, GlimpseNetwork)
        letters, mask = _letters([data.train[place] for place in chosen.tolist()])
        vowels = torch.from_numpy(data.train_vowels[chosen.numpy()])
        if self.estimator is None:
            return self._cost(module(letters, mask), vowels).mean()
        features, mean = module.read(letters, mask)
        scores, allowed = module.scores(features, mean), mask[:, None]
        noise = hard_training.gumbel(scores, generator)
        if self.estimator == "score_function":
            seen, log_probability = hard_training.drawn(scores, features, allowed, noise)
            cost = self._cost(module.answer(seen), vowels)
            return hard_training.score_function(cost, log_probability).mean()
        estimate: Estimator = getattr(hard_training, self.estimator)
        return self._cost(module.answer(estimate(scores, features, allowed, noise, _TEMPERATURE)), vowels).mean()

    def _cost(self, logits: Tensor, vowels: Tensor) -> Tensor:
        return F.cross_entropy(logits, vowels, label_smoothing=self.schedule.label_smoothing, reduction="none")

    def evaluation(self, module: nn.Module, data: Spellings) -> Mapping[str, float]:
        """The share of the test words whose largest logit is their vowel; draws are those of seeds 0, 1, 2 ..."""
        right = 0
        with torch.no_grad():
            for first in range(0, len(data.test), _EVALUATION_ROWS):
                part = slice(first, first + _EVALUATION_ROWS)
                rows = self.rows(data.test[part], first)
                logits = module(*(torch.from_numpy(row) for row in rows.values()))
                right += int((logits.argmax(1) == torch.from_numpy(data.test_vowels[part])).sum())
        return {"accuracy": right / len(data.test)}

    def rows(self, words: Sequence[str], first_seed: int = 0) -> dict[str, NDArray[Any]]:
        """What the network takes: letters and mask as the server makes them of these words, and seeds."""
        letters, mask = _letters(words)
        rows = {LETTERS: letters.numpy(), MASK: mask.numpy()}
        seeds = {SEED: np.arange(first_seed, first_seed + len(words))}
        return rows | (seeds if self.attention is AttentionType.HARD_SAMPLE else {})

    def subject(self, trained: Trained, data: Spellings) -> Subject:
        """The network with the first test words as its rows."""
        return Subject(
            name=self.name,
            module=trained.module,
            rows=partial(self._test_rows, data),
            output_names=(LOGITS,),
            attention=self.attention,
            labels=VOWELS,
            input_steps={LETTERS: STEPS},
            files={"vocabulary.txt": VOCABULARY},
            metrics=trained.metrics,
            training=trained.training,
            lengths={LETTERS: LengthSpec(inputs={LETTERS: 1}, mask=MASK, buckets=(8, 12, 16, 32), longest=32)},
        )

    def facts(self) -> Mapping[str, Any]:
        """Attention, the steps, the letters, and the estimator."""
        return {
            "attention": self.attention,
            "steps": STEPS.model_dump(),
            "letters": VOCABULARY,
            "estimator": self.estimator,
        }

    def _test_rows(self, data: Spellings, rows: int) -> dict[str, NDArray[Any]]:
        return self.rows(data.test[:rows])


def _letters(words: Sequence[str]) -> tuple[Tensor, Tensor]:
    """(B, T) int64 and (B, T) bool."""
    rows = [_MAKER.row(word.encode()) for word in words]
    return torch.from_numpy(_MAKER.joined(rows)), torch.from_numpy(data_mask(rows))
