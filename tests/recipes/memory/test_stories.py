"""Stories: their answers follow from their facts, and what is asked in tests was not trained on."""

from __future__ import annotations

from random import Random

import pytest

from country_sample import invented_countries
from fovea.recipes.memory.stories import Fact, Story, StoryTeller

COUNTRIES = {country.name: country for country in invented_countries()}


def stories(kind: str, number: int = 300) -> list[Story]:
    teller = StoryTeller(invented_countries(), Random(0))
    return [teller.training_story() if kind == "training" else teller.test_story() for _ in range(number)]


TRAINING, TEST = stories("training"), stories("test")
BOTH = pytest.mark.parametrize("told", [TRAINING, TEST], ids=["training", "test"])


def named(story: Story) -> str:
    """The longest name of the facts that stands in the question."""
    names = {name for fact in story.facts for name in (fact.subject, fact.object)}
    return max((name for name in names if f" {name} " in f" {story.question} "), key=len)


def following(story: Story) -> list[str]:
    """What can be asked for, step by step out of the facts."""
    facts, route, name = story.facts, story.route, named(story)
    if route.from_capital or route.kind == "country":
        (name,) = [fact.subject for fact in facts if fact.kind == "capital" and fact.object == name]
    if route.kind == "country":
        return [name]
    pairs = [(fact.subject, fact.object) for fact in facts if fact.kind == "neighbour"]
    beside = [other for pair in pairs for one, other in (pair, pair[::-1]) if one == name]
    if route.kind == "neighbour":
        return beside
    name = beside[0] if route.to_neighbour else name
    return [fact.object for fact in facts if (fact.kind, fact.subject) == (route.kind, name)]


@BOTH
def test_the_answer_is_the_only_one_that_follows_from_the_facts(told: list[Story]) -> None:
    assert all(following(story) == [story.answer] for story in told)
    assert all(story.answer in story.candidates for story in told)


@BOTH
def test_as_many_questions_take_one_fact_as_two_or_three(told: list[Story]) -> None:
    counts = [sum(story.route.needed == needed for story in told) for needed in (1, 2, 3)]
    assert min(counts) > 0.25 * len(told)


@BOTH
def test_each_fact_is_said_in_its_sentence(told: list[Story]) -> None:
    for story in told:
        for fact, sentence in zip(story.facts, story.sentences, strict=True):
            assert fact.subject in sentence
            assert fact.object in sentence


def true(fact: Fact) -> bool:
    country = COUNTRIES[fact.subject]
    return fact.object in (country.neighbours if fact.kind == "neighbour" else [getattr(country, fact.kind)])


def test_test_stories_are_true_and_stories_that_are_trained_on_are_not() -> None:
    assert all(true(fact) for story in TEST for fact in story.facts)
    trained = [fact for story in TRAINING for fact in story.facts if fact.kind in ("capital", "neighbour")]
    assert sum(map(true, trained)) < 0.1 * len(trained)


def test_a_test_question_starts_from_a_country_that_is_held_out() -> None:
    held_out = {name for one in COUNTRIES.values() if one.held_out for name in (one.name, one.capital)}
    assert all(named(story) in held_out for story in TEST)


def test_the_same_seed_tells_the_same_stories() -> None:
    assert stories("test", 5) == TEST[:5]
