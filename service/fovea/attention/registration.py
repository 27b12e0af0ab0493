"""How a formula becomes an operator `torch.ops.fovea.*`: shapes for tracing, gradients, the export name follow from it.

The formula is a function under `@operator("ContractName")`, in the file of its mechanism. It returns all outputs of its
record in `fovea.contract.operators.OPERATORS`: Y first, then the attention maps. It takes float32 or float64, all
tensors of a call alike, and any batch, the empty one too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fovea.contract.operators import OPERATORS

Body = Callable[..., tuple[Tensor, ...]]

OPERATOR_OF: dict[str, str] = {}
"""Torch operator ("fovea::simam") -> operator of domain `ai.fovea` ("SimAM"); filled by `operator`."""


def operator(contract_name: str) -> Callable[[Body], Body]:
    """Register `body` as `torch.ops.fovea.<its name>`, the torch form of a contract operator."""

    def register(body: Body) -> Body:
        qualified = f"fovea::{body.__name__}"
        OPERATOR_OF[qualified] = OPERATORS[contract_name].name
        registered = torch.library.custom_op(qualified, body, mutates_args=())
        registered.register_fake(body)
        registered.register_autocast("cpu", torch.float32)  # in mixed precision gates and softmax stay exact
        registered.register_autograd(_backward_of(body), setup_context=_remember_inputs)
        return body

    return register


def _remember_inputs(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ARG001
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*[value if isinstance(value, Tensor) else None for value in inputs])
    ctx.settings = [None if isinstance(value, Tensor) else value for value in inputs]


def _backward_of(body: Body) -> Callable[..., tuple[Tensor | None, ...]]:
    """The gradient of any body: compute it again with autograd on. Costs one forward pass, keeps no map in memory."""

    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        arguments = [
            setting if tensor is None else tensor.detach().requires_grad_(needed)
            for setting, tensor, needed in zip(ctx.settings, ctx.saved_tensors, ctx.needs_input_grad, strict=True)
        ]
        with torch.enable_grad():
            outputs = body(*arguments)
        return _gradients_of(outputs, arguments, gradients)

    return backward


def _gradients_of(
    outputs: Sequence[Tensor], arguments: Sequence[Any], gradients: Sequence[Tensor | None]
) -> tuple[Tensor | None, ...]:
    """One gradient per argument; None for settings and for tensors that need none or have no part in the outputs."""
    wanted = [index for index, value in enumerate(arguments) if isinstance(value, Tensor) and value.requires_grad]
    arrived = [
        (output, gradient)
        for output, gradient in zip(outputs, gradients, strict=True)
        if gradient is not None and output.requires_grad  # a choice depends on its scores, without a gradient
    ]
    result: list[Tensor | None] = [None] * len(arguments)
    if wanted and arrived:
        sources, incoming = zip(*arrived, strict=True)
        found = torch.autograd.grad(sources, [arguments[i] for i in wanted], incoming, allow_unused=True)
        for index, gradient in zip(wanted, found, strict=True):
            result[index] = gradient
    return tuple(result)
