"""How the torch operators become nodes: one `ai.fovea` node for each call of `torch.ops.fovea.*`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import onnx
import torch
from onnxscript import values

from fovea.attention.registration import OPERATOR_OF
from fovea.contract.datatypes import DATATYPES
from fovea.contract.operators import DOMAIN, OPERATORS, VERSION, Operator

_SCHEMA = onnx.defs.OpSchema
_TENSORS = [datatype.ort for datatype in DATATYPES.values()]
_KIND_OF_ATTRIBUTE = {
    "int": _SCHEMA.AttrType.INT,
    "bool": _SCHEMA.AttrType.INT,
    "float": _SCHEMA.AttrType.FLOAT,
    "str": _SCHEMA.AttrType.STRING,
}


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Torch operator -> function that writes its node, for `torch.onnx.export`."""
    return {torch_operator(name): _translate(name) for name in OPERATOR_OF}


def torch_operator(qualified_name: str) -> Any:
    """The operator registered as "fovea::simam"."""
    namespace, name = qualified_name.split("::")
    return getattr(getattr(torch.ops, namespace), name).default


def _translate(qualified_name: str) -> Callable[..., Any]:
    """Tensors become inputs in order, settings the operator's attributes in order."""
    arguments = torch_operator(qualified_name)._schema.arguments
    operator = OPERATORS[OPERATOR_OF[qualified_name]]
    settings = arguments[len(operator.inputs) :]
    node = values.Op(values.Opset(DOMAIN, VERSION), operator.name, schema_of(operator, settings))
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(argument.name, kinds) for argument in arguments])

    def write_node(*args: Any, **kwargs: Any) -> Any:
        given = list(signature.bind(*args, **kwargs).arguments.values())
        tensors, options = given[: len(operator.inputs)], given[len(operator.inputs) :]
        plain = [int(option) if isinstance(option, bool) else option for option in options]
        return node(*tensors, **dict(zip(operator.attributes, plain, strict=True)))

    write_node.__signature__ = signature  # type: ignore[attr-defined]
    return write_node


def schema_of(operator: Operator, settings: list[Any]) -> onnx.defs.OpSchema:
    """The ONNX schema; every tensor has a type of its own, since masks are not floats."""
    names = [name.removesuffix("?") for name in operator.inputs]
    optional = _SCHEMA.FormalParameterOption.Optional
    single = _SCHEMA.FormalParameterOption.Single
    return _SCHEMA(
        operator.name,
        DOMAIN,
        VERSION,
        inputs=[
            _SCHEMA.FormalParameter(name, f"T_{name}", param_option=optional if full.endswith("?") else single)
            for name, full in zip(names, operator.inputs, strict=True)
        ],
        outputs=[_SCHEMA.FormalParameter(name, f"T_out_{name}") for name in operator.outputs],
        type_constraints=[
            *((f"T_{name}", _TENSORS, "") for name in names),
            *((f"T_out_{name}", _TENSORS, "") for name in operator.outputs),
        ],
        attributes=[
            _SCHEMA.Attribute(name, _KIND_OF_ATTRIBUTE[str(setting.type)])
            for name, setting in zip(operator.attributes, settings, strict=True)
        ],
    )
