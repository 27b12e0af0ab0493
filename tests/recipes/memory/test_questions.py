"""Stories as tensors, and how answers are scored."""

from __future__ import annotations

import numpy as np
import pytest

from country_sample import invented_questions
from fovea.recipes.memory.questions import as_keys_and_values, as_sentences, filled, rows_of
from fovea.recipes.memory.scoring import scores
from fovea.recipes.memory.stories import Fact, Route, Story

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


def test_lists_of_different_lengths_are_filled_up_with_the_pad_token() -> None:
    one, two = np.array([5, 6]), np.array([7])
    assert filled([[one], [two, one, two]]).tolist() == [[[5, 6], [0, 0], [0, 0]], [[7, 0], [5, 6], [7, 0]]]


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
def test_every_word_of_a_story_has_an_id_of_its_own(form: object) -> None:
    questions = invented_questions(20, 20)
    for story in (*questions.train, *questions.test):
        for array in rows_of([story], form, questions.words).values():  # type: ignore[arg-type]
            assert questions.words.tokens.index("[UNK]") not in array
    assert len(set(questions.words.tokens)) == len(questions.words.tokens)


def test_a_row_spells_its_story() -> None:
    questions = invented_questions(1, 1)
    (story,), tokens = questions.test, questions.words.tokens
    rows = rows_of([story], as_sentences, questions.words)
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
