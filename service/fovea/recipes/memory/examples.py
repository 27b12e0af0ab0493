"""The stories that a memory network learns from and is tested with, always the same ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fovea.recipes.memory.countries import NAME, Country
from fovea.recipes.memory.questions import Form, Words, joined, rows_of, words_of
from fovea.recipes.memory.stories import Story, StoryTeller

_TRAINING_SEED, _TEST_SEED = 0, 1
_STORIES_AT_A_TIME = 1000
"""The stories of all training rows would take a gigabyte; their tensors take a tenth."""


@dataclass(frozen=True)
class Examples:
    """So many stories of these countries in one form, made when they are needed."""

    countries: tuple[Country, ...]
    form: Form
    rows: int
    """Stories that are trained on."""
    test_rows: int
    name: str = NAME

    def sample(self, rows: int) -> Self:
        """The first stories of both parts."""
        return replace(self, rows=rows, test_rows=rows)

    @property
    def words(self) -> Words:
        """The words of all stories."""
        return words_of(self.countries)

    @cached_property
    def test(self) -> list[Story]:
        """True stories, with questions about countries that are held out."""
        teller = StoryTeller(self.countries, Random(_TEST_SEED))
        return [teller.test_story() for _ in range(self.test_rows)]

    @cached_property
    def training_rows(self) -> tuple[dict[str, NDArray[np.int16]], NDArray[np.int64]]:
        """The tensors of the training stories, and the places of their answers among all names."""
        teller = StoryTeller(self.countries, Random(_TRAINING_SEED))
        place = {name: number for number, name in enumerate(self.words.answers)}
        parts: dict[str, list[NDArray[Any]]] = {}
        answers: list[int] = []
        for first in range(0, self.rows, _STORIES_AT_A_TIME):
            stories = [teller.training_story() for _ in range(min(_STORIES_AT_A_TIME, self.rows - first))]
            answers += [place[story.answer] for story in stories]
            for name, array in rows_of(stories, self.form, self.words).items():
                parts.setdefault(name, []).append(array.astype(np.int16))
        return {name: joined(arrays) for name, arrays in parts.items()}, np.array(answers)
