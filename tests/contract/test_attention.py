"""The attention types as labels."""

from __future__ import annotations

import re

from fovea.attention.factory import FEATURE_MAP_ATTENTION
from fovea.contract.attention import AttentionType
from fovea.contract.mechanisms import MECHANISMS
from fovea.contract.operators import OPERATORS

NOT_NAMED = {AttentionType.OTHER, AttentionType.UNKNOWN}
"""Labels of others' models, outside the catalogue."""


def test_what_nobody_named_is_no_mechanism_of_the_catalogue() -> None:
    assert {kind for kind, facts in MECHANISMS.items() if facts.family == "not named"} == NOT_NAMED
    assert not NOT_NAMED & {*FEATURE_MAP_ATTENTION, *(operator.attention for operator in OPERATORS.values())}


def test_every_label_has_a_record_and_every_mechanism_its_paper() -> None:
    assert list(MECHANISMS) == list(AttentionType)
    without = {
        kind for kind, facts in MECHANISMS.items() if not re.match(r"arXiv:\d{4}\.\d{4,5}$|doi:|PMLR ", facts.paper)
    }
    assert without == {AttentionType.NONE, *NOT_NAMED}


def test_every_mechanism_of_the_article_names_its_section() -> None:
    without = {kind for kind, facts in MECHANISMS.items() if not facts.section}
    assert without == {AttentionType.NONE, AttentionType.ECA, AttentionType.COORDINATE, *NOT_NAMED}


def test_labels_are_fit_for_metrics() -> None:
    assert all(kind.value.replace("_", "").isalpha() and kind.value.islower() for kind in AttentionType)
