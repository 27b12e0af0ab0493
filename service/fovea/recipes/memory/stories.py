"""Stories about a few countries, and a question about one of them that takes one, two or three of the facts.

In the stories that are trained on, names stand in for others of their kind, drawn anew for each: nothing can be known
by heart, only read. In test stories every fact is true, and the question starts from a country that is held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from fovea.recipes.memory.countries import Country

MOST_PAIRS, MOST_ALONE = 3, 2
"""Pairs of neighbours, who pay with different currencies, and countries without one."""
KINDS = ("capital", "continent", "currency")
FACTS = {
    "capital": ("the capital of {0} is {1}", "{1} is the capital of {0}"),
    "continent": ("{0} lies in {1}", "{0} is part of {1}"),
    "currency": ("people in {0} pay with the {1}", "the currency of {0} is the {1}"),
    "neighbour": ("{0} borders {1}", "{0} is next to {1}"),
}
QUESTIONS = {
    "capital": ("what is the capital of {0}", "which city is the capital of {0}"),
    "continent": ("on which continent is {0}", "which part of the world is {0} in"),
    "currency": ("which currency is used in {0}", "what do people in {0} pay with"),
    "neighbour": ("which country borders {0}", "what is the neighbour of {0}"),
    "country": ("which country has the capital {0}", "of which country is {0} the capital"),
}
OF_CAPITAL = ("the country whose capital is {0}", "the country with the capital {0}")
OF_NEIGHBOUR = ("the neighbour of {0}", "the country next to {0}")


@dataclass(frozen=True)
class Route:
    """How a question gets from what it names to what it asks for."""

    kind: str
    from_capital: bool = False
    """The country is not named: its capital is."""
    to_neighbour: bool = False
    """It asks of the country's neighbour."""

    @property
    def needed(self) -> int:
        """The facts that the answer takes."""
        return 1 + self.from_capital + self.to_neighbour

    @property
    def needs_neighbour(self) -> bool:
        """Whether the country must have a neighbour in the story."""
        return self.to_neighbour or self.kind == "neighbour"


ROUTES = (
    *(Route(kind) for kind in QUESTIONS),
    *(Route(kind, from_capital=True) for kind in ("continent", "currency", "neighbour")),
    *(Route(kind, to_neighbour=True) for kind in ("capital", "currency")),
    *(Route(kind, from_capital=True, to_neighbour=True) for kind in ("capital", "currency")),
)
"""Neighbours are mostly on one continent, so that nobody is asked for a neighbour's."""


@dataclass(frozen=True)
class Fact:
    """The `kind` of `subject` is `object`."""

    kind: str
    subject: str
    object: str


@dataclass(frozen=True)
class Story:
    """Facts in a random order, and as sentences; a question and its answer."""

    facts: tuple[Fact, ...]
    sentences: tuple[str, ...]
    question: str
    route: Route
    answer: str

    @property
    def candidates(self) -> frozenset[str]:
        """The names in the facts that are of the kind that is asked for."""
        if self.route.kind in ("neighbour", "country"):
            return frozenset(fact.subject for fact in self.facts)
        return frozenset(fact.object for fact in self.facts if fact.kind == self.route.kind)


class StoryTeller:
    """Makes stories of countries: the same ones from the same `random`."""

    def __init__(self, countries: Sequence[Country], random: Random) -> None:
        self._random = random
        self._all = list(countries)
        self._known = [country for country in countries if not country.held_out]
        self._held_out = [country for country in countries if country.held_out]
        self._names = {
            field: list(dict.fromkeys(str(getattr(one, field)) for one in countries)) for field in ("name", *KINDS)
        }

    def training_story(self) -> Story:
        """About countries that are not held out, under the names of others."""
        route = self._route()
        return self._story(route, self._renamed(self._pairs(route, self._known, self._known)))

    def test_story(self) -> Story:
        """About a country that is held out, among any others."""
        route = self._route()
        return self._story(route, self._pairs(route, self._held_out, self._all))

    def _route(self) -> Route:
        needed = self._random.randint(1, 3)
        return self._random.choice([route for route in ROUTES if route.needed == needed])

    def _pairs(self, route: Route, first: Sequence[Country], others: Sequence[Country]) -> list[list[Country]]:
        """Neighbours in pairs and countries alone, all different; the first is the one that is asked about."""
        wanted = [True] * self._random.randint(0, MOST_PAIRS - 1) + [False] * self._random.randint(1, MOST_ALONE)
        self._random.shuffle(wanted)
        pairs: list[list[Country]] = []
        for with_neighbour in [route.needs_neighbour, *wanted]:
            taken = {name for pair in pairs for one in pair for name in (one.name, one.capital)}
            free = [one for one in others if not {one.name, one.capital} & taken]
            pairs.append(self._pair(free if pairs else first, free, with_neighbour=with_neighbour))
        return pairs

    def _pair(self, first: Sequence[Country], others: Sequence[Country], *, with_neighbour: bool) -> list[Country]:
        while True:
            one = self._random.choice(first)
            near = [other for other in others if other.name in one.neighbours and other.currency != one.currency]
            if not with_neighbour:
                return [one]
            if near:
                return [one, self._random.choice(near)]

    def _renamed(self, pairs: list[list[Country]]) -> list[list[Country]]:
        """The same facts, in which each name is another of its kind."""
        stand_ins = {field: self._stand_ins(field, pairs) for field in ("name", *KINDS)}
        return [
            [
                replace(
                    one,
                    name=stand_ins["name"][one.name],
                    capital=stand_ins["capital"][one.capital],
                    continent=stand_ins["continent"][one.continent],
                    currency=stand_ins["currency"][one.currency],
                )
                for one in pair
            ]
            for pair in pairs
        ]

    def _stand_ins(self, field: str, pairs: list[list[Country]]) -> dict[str, str]:
        old = dict.fromkeys(str(getattr(one, field)) for pair in pairs for one in pair)
        return dict(zip(old, self._random.sample(self._names[field], len(old)), strict=True))

    def _story(self, route: Route, pairs: list[list[Country]]) -> Story:
        facts = [fact for pair in pairs for fact in _facts(pair)]
        self._random.shuffle(facts)
        sentences = tuple(self._phrase(FACTS[fact.kind]).format(fact.subject, fact.object) for fact in facts)
        asked = pairs[0][0]
        question, answer = self._question(route, asked), _answer(route, pairs[0])
        return Story(tuple(facts), sentences, question, route, answer)

    def _question(self, route: Route, country: Country) -> str:
        if route.kind == "country":
            return self._phrase(QUESTIONS["country"]).format(country.capital)
        what = self._phrase(OF_CAPITAL).format(country.capital) if route.from_capital else country.name
        if route.to_neighbour:
            what = self._phrase(OF_NEIGHBOUR).format(what)
        return self._phrase(QUESTIONS[route.kind]).format(what)

    def _phrase(self, phrases: Sequence[str]) -> str:
        return self._random.choice(phrases)


def _facts(pair: Sequence[Country]) -> list[Fact]:
    own = [Fact(kind, one.name, getattr(one, kind)) for one in pair for kind in KINDS]
    return [*own, Fact("neighbour", pair[0].name, pair[1].name)] if len(pair) > 1 else own


def _answer(route: Route, pair: Sequence[Country]) -> str:
    if route.kind == "country":
        return pair[0].name
    if route.kind == "neighbour":
        return pair[1].name
    return str(getattr(pair[1 if route.to_neighbour else 0], route.kind))
