"""Forty invented countries in place of the real ones."""

from __future__ import annotations

from fovea.recipes.memory.countries import Country

_NUMBER = 40
_CONTINENTS = ("north side", "south side", "west side", "east side")


def invented_countries() -> tuple[Country, ...]:
    """Each borders the next one; the names of some have two words."""
    return tuple(_country(number) for number in range(_NUMBER))


def _country(number: int) -> Country:
    return Country(
        name=_name(number),
        capital=f"{_syllable(number)}ville",
        continent=_CONTINENTS[number % len(_CONTINENTS)],
        currency=f"{_syllable(number % 15)}mark",
        neighbours=(_name(number - 1), _name(number + 1)),
    )


def _name(number: int) -> str:
    number %= _NUMBER
    return f"{'new ' if number % 3 == 0 else ''}{_syllable(number)}land"


def _syllable(number: int) -> str:
    return "bdgklmnpst"[number % 10] + "aeiou"[number // 10]
