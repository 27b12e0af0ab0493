"""Reading the countries out of the package's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fovea.contract.errors import Misconfigured
from fovea.recipes.memory.countries import Country, load, plain

FACTS = {"name": "Aland Islands", "capital": "Mariehamn", "continentcode": "EU", "currencyname": "Euro"}


def written(folder: Path, countries: dict[str, dict[str, str]]) -> Path:
    (folder / "countries.json").write_text(json.dumps(countries))
    (folder / "continents.json").write_text(json.dumps({"EU": {"name": "Europe"}}))
    return folder


@pytest.mark.parametrize(
    ("written", "name"),
    [("St. John's", "st john s"), ("São Tomé", "sao tome"), (" Timor-Leste ", "timor leste"), ("U.S.", "u s")],
)
def test_a_name_is_small_letters_without_accents_and_punctuation(written: str, name: str) -> None:
    assert plain(written) == name


def test_a_country_is_read_with_its_neighbours_names(tmp_path: Path) -> None:
    north = {**FACTS, "neighbours": "XS"}
    south = {**FACTS, "name": "Süd", "capital": "Mitte", "neighbours": "XN,ZZ"}
    assert load(written(tmp_path, {"XN": north, "XS": south})) == (
        Country("aland islands", "mariehamn", "europe", "euro", ("sud",)),
        Country("sud", "mitte", "europe", "euro", ("aland islands",)),
    )


@pytest.mark.parametrize("lacks", ["capital", "currencyname"])
def test_a_country_without_capital_or_currency_is_left_out(tmp_path: Path, lacks: str) -> None:
    assert load(written(tmp_path, {"XN": {**FACTS, "neighbours": "", lacks: ""}})) == ()


def test_a_country_that_is_dissolved_is_left_out(tmp_path: Path) -> None:
    assert load(written(tmp_path, {"CS": {**FACTS, "neighbours": ""}})) == ()


def test_a_damaged_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "countries.json").write_text("{")
    with pytest.raises(Misconfigured, match=r"damaged .* delete it to fetch it again"):
        load(tmp_path)
