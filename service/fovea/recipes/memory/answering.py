"""The recipe of a network that answers questions out of the facts that come with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.contract.attention import AttentionType
from fovea.contract.input_steps import InputSteps
from fovea.contract.lengths import LengthSpec
from fovea.contract.step_kinds import DecodeText, Lowercase, Split, StripAccents, UseVocabulary
from fovea.recipes.memory.countries import Country
from fovea.recipes.memory.examples import Examples
from fovea.recipes.memory.questions import PAD, QUESTION, Form, Rows, rows_of, words_of
from fovea.recipes.memory.scoring import scores
from fovea.recipes.recipe import Schedule, Trained
from fovea.recipes.subject import Subject

LOGITS = "logits"
_EVALUATION_ROWS = 500
_VOCABULARY = "vocabulary.txt"
_MOST_FACTS, _MOST_WORDS = 64, 32
_WORDS = {"facts": "words", "keys": "key_words", "values": "value_words"}
"""Input -> the name of the length that its sentences have."""
_FACT_BUCKETS, _WORD_BUCKETS, _QUESTION_BUCKETS = (8, 16, 32, 48), (8, 16), (24,)
"""Few: stories share a batch only where all of their lengths fall into the same ones."""


def steps_of(most_lines: int | None) -> InputSteps:
    """What makes tokens of a text, or of each line of one."""
    vocabulary = UseVocabulary(file=_VOCABULARY, unknown=PAD, pad=PAD, most_tokens=_MOST_WORDS)
    return InputSteps((DecodeText(most_lines=most_lines), Lowercase(), StripAccents(), Split(into="words"), vocabulary))


@dataclass(frozen=True)
class QuestionAnswering:
    """The network takes what `form` makes of the facts, and the question; it gives a logit for every name."""

    name: str
    attention: AttentionType
    make: Callable[[int, Tensor], nn.Module]
    """Of the number of words, and the answers as tokens."""
    form: Form
    schedule: Schedule
    load: Callable[[], tuple[Country, ...]]
    training_stories: int
    test_stories: int = 5000
    seed: int = 0

    def data(self) -> Examples:
        """Stories with questions, in this network's form."""
        return Examples(self.load(), self.form, self.training_stories, self.test_stories)

    def network(self) -> nn.Module:
        """The network, as random numbers make it."""
        words = words_of(self.load())
        return self.make(len(words.tokens), torch.from_numpy(words.answer_ids))

    def loss(self, module: nn.Module, data: Examples, chosen: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Cross entropy of the chosen stories' answers."""
        rows, answers = data.training_rows
        picked = [torch.from_numpy(array[chosen.numpy()].astype(np.int64)) for array in rows.values()]
        smoothing = self.schedule.label_smoothing
        return F.cross_entropy(module(*picked), torch.from_numpy(answers[chosen.numpy()]), label_smoothing=smoothing)

    def evaluation(self, module: nn.Module, data: Examples) -> Mapping[str, float]:
        """The share of the test questions that are answered right, beside two ways to guess."""
        stories, names = data.test, data.words.answers
        given: list[str] = []
        with torch.no_grad():
            for first in range(0, len(stories), _EVALUATION_ROWS):
                rows = rows_of(stories[first : first + _EVALUATION_ROWS], self.form, data.words)
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
            labels=data.words.answers,
            metrics=trained.metrics,
            training=trained.training,
            input_steps=self._steps(list(self._test_rows(data, 1))),
            files={_VOCABULARY: "\n".join(data.words.tokens) + "\n"},
            lengths=self._lengths(list(self._test_rows(data, 1))),
        )

    def facts(self) -> Mapping[str, Any]:
        """Attention, stories and words."""
        words = words_of(self.load())
        stories = {"training": self.training_stories, "test": self.test_stories}
        return {"attention": self.attention, "stories": stories, "tokens": words.tokens, "answers": words.answers}

    def _test_rows(self, data: Examples, rows: int) -> Rows:
        return rows_of(data.test[:rows], self.form, data.words)

    def _steps(self, inputs: list[str]) -> dict[str, InputSteps]:
        """Facts may be sent as a text with one in each line, and the question as a text."""
        return {name: steps_of(None if name == QUESTION else _MOST_FACTS) for name in inputs}

    def _lengths(self, inputs: list[str]) -> dict[str, LengthSpec]:
        """All inputs but the question have as many facts; each has its own words."""
        facts = {name: 1 for name in inputs if name != QUESTION}
        words = {_WORDS[name]: LengthSpec(inputs={name: 2}, buckets=_WORD_BUCKETS) for name in facts}
        return {
            "facts": LengthSpec(inputs=facts, buckets=_FACT_BUCKETS),
            **words,
            QUESTION: LengthSpec(inputs={QUESTION: 1}, buckets=_QUESTION_BUCKETS),
        }
