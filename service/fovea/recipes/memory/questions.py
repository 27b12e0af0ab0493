"""Stories as tensors: words and their ids, facts as sentences or as keys and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.recipes.memory.countries import Country
from fovea.recipes.memory.stories import FACTS, OF_CAPITAL, OF_NEIGHBOUR, QUESTIONS, Fact, Story

PAD = "[PAD]"
"""Fills up; unknown words become it too, and count for nothing."""
QUESTION = "question"
_KEYS = {
    "capital": ("the capital of {0}", "the country with the capital {1}"),
    "continent": ("the continent of {0}", ""),
    "currency": ("the currency of {0}", ""),
    "neighbour": ("the neighbour of {0}", "the neighbour of {1}"),
}
"""Kind of fact -> the key under which its object is found, and the one under which its subject is."""

Texts = Mapping[str, Sequence[str]]
"""Input -> its sentences."""
Rows = dict[str, NDArray[Any]]
Form = Callable[[Story], Texts]


def as_sentences(story: Story) -> Texts:
    """The facts as they are said."""
    return {"facts": story.sentences}


def as_keys_and_values(story: Story) -> Texts:
    """What is known, under what it is found: "the capital of france" and "paris"."""
    pairs = [pair for fact in story.facts for pair in _keys_and_values(fact)]
    return {"keys": [key for key, _ in pairs], "values": [value for _, value in pairs]}


def _keys_and_values(fact: Fact) -> list[tuple[str, str]]:
    there, back = (key.format(fact.subject, fact.object) for key in _KEYS[fact.kind])
    return [(there, fact.object), *([(back, fact.subject)] if back else [])]


@dataclass(frozen=True)
class Words:
    """What is known of words before any story is read."""

    tokens: tuple[str, ...]
    """By their ids; the first one fills up."""
    answers: tuple[str, ...]
    """Every name that a question can ask for."""

    @property
    def answer_ids(self) -> NDArray[np.int64]:
        """(answers, longest), filled up."""
        return filled([self.ids(answer) for answer in self.answers])

    def ids(self, sentence: str) -> NDArray[np.int64]:
        """(T,), as the steps of the card have it."""
        return np.array([self._places.get(word, 0) for word in sentence.split()], np.int64)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {token: place for place, token in enumerate(self.tokens)}


@cache
def words_of(countries: tuple[Country, ...]) -> Words:
    """The words of all names and phrases."""
    names = {name for one in countries for name in (one.name, one.capital, one.continent, one.currency)}
    told = (*FACTS.values(), *QUESTIONS.values(), *_KEYS.values(), OF_CAPITAL, OF_NEIGHBOUR)
    phrases = " ".join(phrase.replace("{0}", "").replace("{1}", "") for several in told for phrase in several)
    words = {word for text in (phrases, *names) for word in text.split()}
    return Words((PAD, *sorted(words)), tuple(sorted(names)))


def rows_of(stories: Sequence[Story], form: Form, words: Words) -> Rows:
    """The stories as a network takes them: facts (N, facts, words), the question (N, words), all filled up."""
    texts = [form(story) for story in stories]
    facts = {name: filled([[words.ids(one) for one in text[name]] for text in texts]) for name in texts[0]}
    return {**facts, QUESTION: filled([words.ids(story.question) for story in stories])}


def joined(parts: Sequence[NDArray[np.int16]]) -> NDArray[np.int16]:
    """Arrays one below the other, filled up to the longest."""
    longest = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    whole = np.zeros((sum(map(len, parts)), *longest), np.int16)
    first = 0
    for part in parts:
        whole[(slice(first, first + len(part)), *map(slice, part.shape[1:]))] = part
        first += len(part)
    return whole


def filled(ragged: Sequence[Any]) -> NDArray[np.int64]:
    """Lists within lists as one array, filled up with the pad token, 0."""
    array = np.zeros(_shape(ragged), np.int64)
    _fill(array, ragged)
    return array


def _shape(ragged: Any) -> tuple[int, ...]:
    if isinstance(ragged, np.ndarray):
        return (len(ragged),)
    return (len(ragged), *(max(sizes) for sizes in zip(*map(_shape, ragged), strict=True)))


def _fill(array: NDArray[np.int64], ragged: Any) -> None:
    if isinstance(ragged, np.ndarray):
        array[: len(ragged)] = ragged
        return
    for target, part in zip(array, ragged, strict=False):
        _fill(target, part)
