"""README's tables of the models that come with Fovea, a family each, from measured figures and the notes of seeds.

`python -m tests.benchmarks.families_page` writes them anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.readme import README, replaced
from tests.benchmarks.seeds import noted, spread

from fovea.recipes.images.fashion_models import FASHION_MODELS, FASHION_PLUG_IN
from fovea.recipes.pronunciation.glimpse_models import GLIMPSE_MODELS

FIGURES = Path(__file__).parents[2] / "docs" / "families.json"
Figures = dict[str, Any]
Facts = Mapping[str, Any]
"""Of a model: attention, parameters, accuracy, row_us."""

_REDUCTIONS = {"fashion-se-4": 4, "fashion-se": 16, "fashion-se-32": 32}
_OTHER_REDUCTIONS = ("fashion-se-4", "fashion-se-32")
"""Compared with each other, and with no other mechanism."""


@dataclass(frozen=True)
class Family:
    """Models that are compared in one table, between the README's two marks of this name."""

    mark: str
    models: Sequence[str]
    head: Sequence[str]
    row: Callable[[str, Facts], Sequence[str]]
    """A model's cells, of its name and its facts."""
    words: str
    """What stands below the table."""
    rows: int = 32
    """Of a batch."""


def tables(figures: Figures) -> dict[str, str]:
    """Mark -> what stands there."""
    return {family.mark: _table(family, figures["families"][family.mark], figures["machine"]) for family in FAMILIES}


def write_tables(figures: Figures) -> None:
    """Into README."""
    text = README.read_text()
    for mark, body in tables(figures).items():
        text = replaced(text, mark, body)
    README.write_text(text)


def _table(family: Family, facts: Mapping[str, Facts], machine: str) -> str:
    lines = [family.head, _rule(family.head), *_rows(family, facts)]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", family.words.format(machine=machine)])


def _rule(head: Sequence[str]) -> list[str]:
    """Texts to the left, figures to the right."""
    return ["---" if column in _TEXTS else "--:" for column in head]


def _rows(family: Family, facts: Mapping[str, Facts]) -> Iterator[Sequence[str]]:
    for name, one in sorted(facts.items(), key=lambda item: -item[1]["accuracy"]):
        yield family.row(name, one)


_TEXTS = ("model", "attention")


def _picture_row(name: str, facts: Facts) -> Sequence[str]:
    return (f"`{facts['attention']}`", name, *_parameters_and_accuracy(name, facts), f"{facts['row_us']:.0f}")


def _reduction_row(name: str, facts: Facts) -> Sequence[str]:
    return (str(_REDUCTIONS[name]), name, *_parameters_and_accuracy(name, facts), f"{facts['row_us']:.0f}")


def _parameters_and_accuracy(name: str, facts: Facts) -> Sequence[str]:
    over_seeds = spread(facts["accuracy"], noted(FASHION_MODELS).get(name, {}))
    return f"{facts['parameters']:,}", f"{facts['accuracy']:.2%}", over_seeds


def _word_row(name: str, facts: Facts) -> Sequence[str]:
    return (
        f"`{facts['attention']}`",
        name,
        f"{facts['parameters']:,}",
        f"{facts['accuracy']:.1%}",
        f"{facts['row_us']:.1f}",
    )


_TIME = "processor time of one core, in batches of 32, medians, all models of a table in turn"
FAMILIES = (
    Family(
        "pictures",
        [name for recipe in (*FASHION_MODELS, FASHION_PLUG_IN) if (name := recipe.name) not in _OTHER_REDUCTIONS],
        ("attention", "model", "parameters", "accuracy", "over three seeds", "µs a picture"),
        _picture_row,
        f"10,000 test pictures; {_TIME}. {{machine}}.",
    ),
    Family(
        "reductions",
        [*_REDUCTIONS],
        ("r", "model", "parameters", "accuracy", "over three seeds", "µs a picture"),
        _reduction_row,
        "10,000 test pictures; time as above.",
    ),
    Family(
        "words",
        [recipe.name for recipe in GLIMPSE_MODELS],
        ("attention", "model", "parameters", "accuracy", "µs a word"),
        _word_row,
        "10,524 test words; time as above.",
    ),
)


if __name__ == "__main__":
    write_tables(json.loads(FIGURES.read_text()))
