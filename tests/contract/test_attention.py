"""The taxonomy and the operator table are complete and agree with each other."""

from __future__ import annotations

import importlib

import torch

import fovea.attention.operators as torch_side
from fovea.attention.factory import FEATURE_MAP_ATTENTION
from fovea.contract.attention import TAXONOMY, AttentionType, Family
from fovea.contract.operators import OPERATORS

WITHOUT_MODULE = {
    AttentionType.NONE,
    AttentionType.HARD_ARGMAX,
    AttentionType.HARD_SAMPLE,
    AttentionType.KEY_VALUE,
    AttentionType.GATED,
    AttentionType.MAX_POOL,
    AttentionType.UNKNOWN,
}


def test_every_type_has_its_record() -> None:
    assert set(TAXONOMY) == set(AttentionType)


def test_every_type_but_the_baseline_names_its_paper() -> None:
    unnamed = [AttentionType.NONE, AttentionType.UNKNOWN]
    assert [kind for kind in AttentionType if not kind.facts.paper] == unnamed


def test_hard_attention_is_the_only_kind_without_a_gradient() -> None:
    hard = {AttentionType.HARD_ARGMAX, AttentionType.HARD_SAMPLE}
    assert {kind for kind in AttentionType if kind.facts.differentiable is False} == hard


def test_parameter_free_kinds_have_no_parameters() -> None:
    for kind, construct in FEATURE_MAP_ATTENTION.items():
        count = sum(parameter.numel() for parameter in construct(32).parameters())
        assert (count > 0) == kind.facts.parametric, kind


def test_the_table_says_which_kinds_have_a_module() -> None:
    there = {kind for kind in AttentionType if kind.facts.module}
    assert set(AttentionType) - there == WITHOUT_MODULE
    for kind in there:
        module, name = kind.facts.module.split(":")
        assert issubclass(getattr(importlib.import_module(module), name), torch.nn.Module)


def test_what_is_not_recognised_is_no_mechanism_of_the_catalogue() -> None:
    facts = AttentionType.UNKNOWN.facts
    assert (facts.family, facts.parametric, facts.differentiable) == (Family.UNRECOGNISED, None, None)
    assert [kind for kind in AttentionType if kind.facts.family is Family.UNRECOGNISED] == [AttentionType.UNKNOWN]
    assert AttentionType.UNKNOWN not in FEATURE_MAP_ATTENTION
    assert AttentionType.UNKNOWN not in {operator.attention for operator in OPERATORS.values()}


def test_labels_are_fit_for_metrics() -> None:
    assert all(kind.value.replace("_", "").isalpha() and kind.value.islower() for kind in AttentionType)
    assert TAXONOMY[AttentionType.SIMAM].family is Family.CONVOLUTIONAL


def test_every_torch_operator_is_in_the_table_and_returns_its_outputs() -> None:
    for name, operator in torch_side.OPERATOR_OF.items():
        namespace, op = name.split("::")
        schema = getattr(getattr(torch.ops, namespace), op).default._schema
        assert len(schema.returns) == len(OPERATORS[operator].outputs), name


def test_every_operator_gives_an_output_and_at_least_one_map() -> None:
    assert all(operator.outputs[0] == "Y" and operator.maps for operator in OPERATORS.values())
