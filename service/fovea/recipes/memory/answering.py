"""The recipe of a network that answers questions out of the facts that come with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.contract.attention import AttentionType
from fovea.contract.lengths import LengthSpec
from fovea.recipes.memory import countries
from fovea.recipes.memory.questions import QUESTION, Form, Questions, Rows, rows_of
from fovea.recipes.memory.scoring import scores
from fovea.recipes.recipe import Schedule, Trained
from fovea.recipes.subject import Subject

LOGITS = "logits"
_EVALUATION_ROWS = 500
_FACT_BUCKETS, _WORD_BUCKETS = (8, 16, 32, 48), (8, 16, 24)


@dataclass(frozen=True, eq=False)
class Examples:
    """The stories' tensors, small ones, and the places of their answers among all names."""

    questions: Questions
    rows_by_input: Rows
    answers: NDArray[np.int64]
    name: str = countries.NAME

    @property
    def rows(self) -> int:
        """Stories that are trained on."""
        return len(self.answers)


@dataclass(frozen=True)
class QuestionAnswering:
    """The network takes what `form` makes of the facts, and the question; it gives a logit for every name."""

    name: str
    attention: AttentionType
    make: Callable[[int, Tensor], nn.Module]
    """Of the number of words, and the answers as tokens."""
    form: Form
    schedule: Schedule
    load: Callable[[], Questions]
    seed: int = 0

    def data(self) -> Examples:
        """The training stories as this network takes them."""
        return _examples(self.load, self.form)

    def network(self) -> nn.Module:
        """The network, as random numbers make it."""
        words = self.load().words
        return self.make(len(words.tokens), torch.from_numpy(words.answer_ids))

    def loss(self, module: nn.Module, data: Examples, chosen: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Cross entropy of the chosen stories' answers."""
        places = chosen.numpy()
        rows = [torch.from_numpy(array[places].astype(np.int64)) for array in data.rows_by_input.values()]
        return F.cross_entropy(module(*rows), torch.from_numpy(data.answers[places]))

    def evaluation(self, module: nn.Module, data: Examples) -> Mapping[str, float]:
        """The share of the test questions that are answered right, beside two ways to guess."""
        stories, names = data.questions.test, data.questions.words.answers
        given: list[str] = []
        with torch.no_grad():
            for first in range(0, len(stories), _EVALUATION_ROWS):
                rows = rows_of(stories[first : first + _EVALUATION_ROWS], self.form, data.questions.words)
                given += [names[place] for place in module(*map(torch.from_numpy, rows.values())).argmax(1).tolist()]
        return scores(stories, given)

    def subject(self, trained: Trained, data: Examples) -> Subject:
        """The network with the first test stories as its rows."""
        return Subject(
            name=self.name,
            module=trained.module,
            rows=partial(self._test_rows, data),
            output_names=(LOGITS,),
            attention=self.attention,
            labels=data.questions.words.answers,
            metrics=trained.metrics,
            training=trained.training,
            lengths=self._lengths(list(data.rows_by_input)),
        )

    def facts(self) -> Mapping[str, Any]:
        """Attention, and the words."""
        words = self.load().words
        return {"attention": self.attention, "tokens": words.tokens, "answers": words.answers}

    def _test_rows(self, data: Examples, rows: int) -> Rows:
        return rows_of(data.questions.test[:rows], self.form, data.questions.words)

    def _lengths(self, inputs: list[str]) -> dict[str, LengthSpec]:
        """All inputs but the question have as many facts; each has its own words."""
        facts = {name: 1 for name in inputs if name != QUESTION}
        words = {WORDS[name]: LengthSpec(inputs={name: 2}, buckets=_WORD_BUCKETS) for name in facts}
        return {
            "facts": LengthSpec(inputs=facts, buckets=_FACT_BUCKETS),
            **words,
            QUESTION: LengthSpec(inputs={QUESTION: 1}, buckets=_WORD_BUCKETS),
        }


WORDS = {"facts": "words", "keys": "key_words", "values": "value_words"}
"""Input -> the name of the length that its sentences have."""


@cache
def _examples(load: Callable[[], Questions], form: Form) -> Examples:
    questions = load()
    rows = rows_of(questions.train, form, questions.words)
    place = {name: number for number, name in enumerate(questions.words.answers)}
    return Examples(
        questions=questions,
        rows_by_input={name: array.astype(np.int16) for name, array in rows.items()},
        answers=np.array([place[story.answer] for story in questions.train]),
    )
