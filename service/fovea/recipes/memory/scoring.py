"""How good answers are: the share of right ones by the facts that they take, beside two ways to guess."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fovea.recipes.memory.stories import Story


def scores(stories: Sequence[Story], given: Sequence[str]) -> dict[str, float]:
    """`accuracy`, and for questions that take 1, 2 and 3 facts:

    `accuracy_N`; `chance_N`, of guessing one of the story's names of the kind that is asked for; `without_facts_N`, of
    the best that can be said without reading them, which is the most frequent answer to each kind of question.
    """
    right = [answer == story.answer for answer, story in zip(given, stories, strict=True)]
    chance = [1 / len(story.candidates) for story in stories]
    usual = _usual_answers(stories)
    constant = [usual[story.route.kind] == story.answer for story in stories]
    found = {"accuracy": _mean(right)}
    for needed in sorted({story.route.needed for story in stories}):
        for name, values in (("accuracy", right), ("chance", chance), ("without_facts", constant)):
            own = [value for value, story in zip(values, stories, strict=True) if story.route.needed == needed]
            found[f"{name}_{needed}"] = _mean(own)
    return found


def _usual_answers(stories: Sequence[Story]) -> dict[str, str]:
    counts: dict[str, Counter[str]] = {}
    for story in stories:
        counts.setdefault(story.route.kind, Counter())[story.answer] += 1
    return {kind: count.most_common(1)[0][0] for kind, count in counts.items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
