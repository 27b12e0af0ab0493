"""Every operator that is listed is there: as a formula, as a body, as a node, and as a kernel where it shall be one."""

from __future__ import annotations

import pytest

from fovea.contract.operators import OPERATORS, RESIDUAL_FORMS, Operator
from fovea.export.function_bodies import BODIES
from fovea.export.translation import schema_of, torch_operator
from kernel_cases import CASES
from torch_operators import OPERATOR_OF

PLAIN_OF = {form.name: name for name, form in RESIDUAL_FORMS.items()}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_an_operator_has_one_formula_which_gives_its_outputs_and_takes_what_its_node_takes(operator: Operator) -> None:
    plain = OPERATORS[PLAIN_OF.get(operator.name, operator.name)]
    [name] = [name for name, known in OPERATOR_OF.items() if known == plain.name]
    formula = torch_operator(name)._schema
    assert len(formula.returns) == len(plain.outputs)
    schema = schema_of(plain, formula.arguments[len(plain.inputs) :])
    assert [value.name for value in schema.inputs] == [name.removesuffix("?") for name in plain.inputs]
    assert set(schema.attributes) == set(plain.attributes)


def test_an_operator_has_a_body_and_no_other_body_is_there() -> None:
    assert {operator for operator, _ in BODIES} == set(OPERATORS)


def test_an_operator_has_a_kernel_whose_answers_are_tested_unless_onnx_runtime_fuses_its_body() -> None:
    tested = {case.operator for case in CASES}
    assert tested >= {name for name, operator in OPERATORS.items() if not operator.fused_by_onnx_runtime}


def test_an_operator_gives_an_output_and_at_least_one_map() -> None:
    assert all(operator.outputs[0] == "Y" and operator.maps for operator in OPERATORS.values())
