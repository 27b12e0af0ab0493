"""Stories as tensors, and how answers are scored."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from country_sample import invented_countries
from fovea.recipes.memory.examples import Examples
from fovea.recipes.memory.questions import Form, as_keys_and_values, as_sentences, filled, joined, rows_of, words_of
from fovea.recipes.memory.scoring import scores
from fovea.recipes.memory.stories import Fact, Route, Story, StoryTeller

WORDS = words_of(invented_countries())
STORY = Story(
    facts=(
        Fact("capital", "nord land", "ville"),
        Fact("neighbour", "nord land", "sud"),
        Fact("currency", "sud", "mark"),
    ),
    sentences=("the capital of nord land is ville", "nord land borders sud", "people in sud pay with the mark"),
    question="what is the capital of nord land",
    route=Route("capital"),
    answer="ville",
)


def stories(number: int) -> list[Story]:
    teller = StoryTeller(invented_countries(), Random(0))
    return [teller.training_story() for _ in range(number)]


def test_lists_of_different_lengths_are_filled_up_with_the_pad_token() -> None:
    one, two = np.array([5, 6]), np.array([7])
    assert filled([[one], [two, one, two]]).tolist() == [[[5, 6], [0, 0], [0, 0]], [[7, 0], [5, 6], [7, 0]]]


def test_parts_of_different_lengths_are_joined_filled_up() -> None:
    assert joined([np.array([[5, 6]]), np.array([[7], [8]])]).tolist() == [[5, 6], [7, 0], [8, 0]]


def test_training_rows_are_those_of_the_stories_one_by_one() -> None:
    rows, answers = Examples(invented_countries(), as_sentences, 7, 1).training_rows
    expected = rows_of(stories(7), as_sentences, WORDS)
    assert all(np.array_equal(rows[name], expected[name]) for name in expected)
    assert [WORDS.answers[place] for place in answers] == [story.answer for story in stories(7)]


def test_a_fact_is_found_by_either_of_the_names_that_questions_ask_from() -> None:
    texts = as_keys_and_values(STORY)
    assert list(zip(texts["keys"], texts["values"], strict=True)) == [
        ("the capital of nord land", "ville"),
        ("the country with the capital ville", "nord land"),
        ("the neighbour of nord land", "sud"),
        ("the neighbour of sud", "nord land"),
        ("the currency of sud", "mark"),
    ]


@pytest.mark.parametrize("form", [as_sentences, as_keys_and_values])
def test_every_word_of_a_story_has_an_id_of_its_own(form: Form) -> None:
    words = {word for story in stories(50) for texts in form(story).values() for text in texts for word in text.split()}
    assert words <= set(WORDS.tokens)
    assert len(set(WORDS.tokens)) == len(WORDS.tokens)


def test_a_row_spells_its_story() -> None:
    (story,), tokens = stories(1), WORDS.tokens
    rows = rows_of([story], as_sentences, WORDS)
    spelled = [" ".join(tokens[place] for place in fact if place) for fact in rows["facts"][0]]
    assert tuple(spelled) == story.sentences
    assert " ".join(tokens[place] for place in rows["question"][0] if place) == story.question


def test_answers_are_scored_by_the_facts_that_they_take_beside_ways_to_guess() -> None:
    assert scores([STORY, STORY, STORY], ["ville", "mark", "ville"]) == {
        "accuracy": 2 / 3,
        "accuracy_1": 2 / 3,
        "chance_1": 1.0,
        "without_facts_1": 1.0,
    }
