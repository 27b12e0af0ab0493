"""The attention types as labels."""

from __future__ import annotations

from fovea.attention.factory import FEATURE_MAP_ATTENTION
from fovea.contract.attention import AttentionType
from fovea.contract.operators import OPERATORS


def test_what_is_not_recognised_is_no_mechanism_of_the_catalogue() -> None:
    assert AttentionType.UNKNOWN not in FEATURE_MAP_ATTENTION
    assert AttentionType.UNKNOWN not in {operator.attention for operator in OPERATORS.values()}


def test_labels_are_fit_for_metrics() -> None:
    assert all(kind.value.replace("_", "").isalpha() and kind.value.islower() for kind in AttentionType)
