"""docs/CATALOGUE.md: every mechanism, as the code has it, with figures that were measured."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.catalogue import CASES
from benchmarks.catalogue_page import FIGURES, MODULES, PAGE, page
from fovea.contract.attention import AttentionType
from fovea.contract.mechanisms import MECHANISMS

Figures = dict[str, Any]
NO_MECHANISM = {AttentionType.NONE, AttentionType.OTHER, AttentionType.UNKNOWN}


@pytest.fixture(scope="module")
def figures() -> Figures:
    found: Figures = json.loads(FIGURES.read_text())
    return found


def test_the_page_is_what_the_code_and_the_measured_figures_say(
    figures: dict[str, dict[str, dict[str, float]]],
) -> None:
    assert PAGE.read_text() == page(figures), "`python -m tests.benchmarks.catalogue_page` writes it anew"


def test_every_mechanism_is_on_it_and_was_measured(figures: Figures) -> None:
    assert set(MODULES) == set(AttentionType) - NO_MECHANISM == set(CASES) == set(figures["costs"])
    assert set(MECHANISMS) == set(AttentionType)


@pytest.mark.parametrize("attention", MODULES)
def test_each_has_a_formula_shapes_costs_and_a_kernel(attention: AttentionType) -> None:
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith(f"| `{attention}` |")]
    assert len(rows) == 3
    meaning, cost, (_, operators, kernels, _models) = rows
    assert not [cell for cell in (*meaning, *cost, operators, kernels) if not cell.strip(" |")]
