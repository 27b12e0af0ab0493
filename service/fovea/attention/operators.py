"""The operators `torch.ops.fovea.*`: what one `ai.fovea` node computes, as a readable torch body.

Every operator returns all outputs of its record in `fovea.contract.operators.OPERATORS`: Y first, then the attention
maps. Bodies take float32 or float64 (all tensors of a call alike) and any batch, the empty one too. To add an operator
write its body under `@_operator("ContractName")`: shapes for tracing, gradients and the export name follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fovea.contract.operators import OPERATORS

Body = Callable[..., tuple[Tensor, ...]]

OPERATOR_OF: dict[str, str] = {}
"""Torch operator ("fovea::simam") -> operator of domain `ai.fovea` ("SimAM"); filled by `_operator`."""


def _operator(contract_name: str) -> Callable[[Body], Body]:
    """Register `body` as `torch.ops.fovea.<its name>`, the torch form of a contract operator."""

    def register(body: Body) -> Body:
        qualified = f"fovea::{body.__name__}"
        OPERATOR_OF[qualified] = OPERATORS[contract_name].name
        operator = torch.library.custom_op(qualified, body, mutates_args=())
        operator.register_fake(body)
        operator.register_autocast("cpu", torch.float32)  # in mixed precision gates and softmax stay exact
        operator.register_autograd(_backward_of(body), setup_context=_remember_inputs)
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
    arrived = [(output, gradient) for output, gradient in zip(outputs, gradients, strict=True) if gradient is not None]
    result: list[Tensor | None] = [None] * len(arguments)
    if wanted and arrived:
        sources, incoming = zip(*arrived, strict=True)
        found = torch.autograd.grad(sources, [arguments[i] for i in wanted], incoming, allow_unused=True)
        for index, gradient in zip(wanted, found, strict=True):
            result[index] = gradient
    return tuple(result)


def _bottleneck(pooled: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    return F.linear(F.relu(F.linear(pooled, w1, b1)), w2, b2)  # (N, C) -> (N, C/r) -> (N, C)


def _gate_positions(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)  # (N, 2, H, W)
    gate = torch.sigmoid(F.conv2d(pooled, w, padding=w.shape[-1] // 2))  # (N, 1, H, W)
    return x * gate, gate


@_operator("SqueezeExcitation")
def squeeze_excitation(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> tuple[Tensor, Tensor]:
    """Gate = sigmoid(W2 relu(W1 mean(x) + b1) + b2), Y = x · Gate.

    x (N, C, H, W), w1 (C/r, C), w2 (C, C/r) -> Y as x, Gate (N, C).
    """
    gate = torch.sigmoid(_bottleneck(x.mean(dim=(2, 3)), w1, b1, w2, b2))
    return x * gate[:, :, None, None], gate


@_operator("SpatialAttention")
def spatial_attention(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Map = sigmoid(conv([mean over C; max over C])), Y = x · Map.

    x (N, C, H, W), w (1, 2, k, k), k odd -> Y as x, Map (N, 1, H, W).
    """
    return _gate_positions(x, w)


@_operator("CBAM")
def cbam(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gate = sigmoid(mlp(mean(x)) + mlp(max(x))), then spatial attention on x · Gate; Y, Gate (N, C), Map (N, 1, H, W).

    mlp(p) = W2 relu(W1 p + b1) + b2 is the same for both pooled vectors, so b2 is added twice.
    """
    average = _bottleneck(x.mean(dim=(2, 3)), w1, b1, w2, b2)
    largest = _bottleneck(x.amax(dim=(2, 3)), w1, b1, w2, b2)
    gate = torch.sigmoid(average + largest)
    y, position_gate = _gate_positions(x * gate[:, :, None, None], w)
    return y, gate, position_gate


@_operator("SimAM")
def simam(x: Tensor, lambda_: float) -> tuple[Tensor, Tensor]:
    """Weights = sigmoid(d / (4 (Σd / n + λ)) + 1/2), d = (x - mean)², n = H·W - 1, Y = x · Weights; both (N, C, H, W).

    A plane of one pixel has d = 0 and n = 0: n counts as 1 there, and the weight is sigmoid(1/2).
    """
    neighbours = max(x.shape[2] * x.shape[3] - 1, 1)
    deviation = (x - x.mean(dim=(2, 3), keepdim=True)).square()
    variance = deviation.sum(dim=(2, 3), keepdim=True) / neighbours
    weights = torch.sigmoid(deviation / (4 * (variance + lambda_)) + 0.5)
    return x * weights, weights


@_operator("ExternalAttention")
def external_attention(x: Tensor, mk: Tensor, mv: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """A = softmax over tokens of x Mkᵀ, then divided by (ε + its sum over slots); Y = A Mv.

    x (B, T, D), mk and mv (S, D) -> Y (B, T, D), A (B, T, S).
    """
    over_tokens = torch.softmax(x @ mk.t(), dim=1)  # (B, T, S)
    attention = over_tokens / (over_tokens.sum(dim=2, keepdim=True) + epsilon)
    return attention @ mv, attention


@_operator("MultiHeadAttention")
def multi_head_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, causal: bool, window: int
) -> tuple[Tensor, Tensor]:
    """P = softmax(scale · q kᵀ over the allowed keys), Y = P v.

    q (B, H, Tq, d), k and v (B, H, Tk, d), mask boolean, broadcastable to (B, H, Tq, Tk), True = may be attended
    -> Y (B, H, Tq, d), P (B, H, Tq, Tk). `causal` allows key j to query i where j <= i; `window` > 0 where
    |i - j| <= window. A query that may attend nothing has P = 0 and Y = 0.
    """
    scores = q @ k.transpose(-2, -1) * scale
    allowed = _allowed_keys(scores, mask, causal, window)
    if allowed is None:
        attention = torch.softmax(scores, dim=-1)
    else:
        lowest = torch.finfo(scores.dtype).min  # finite: a row with nothing allowed must not become NaN
        attention = torch.softmax(scores.masked_fill(~allowed, lowest), dim=-1).masked_fill(~allowed, 0.0)
    return attention @ v, attention


def _allowed_keys(scores: Tensor, mask: Tensor | None, causal: bool, window: int) -> Tensor | None:
    """Mask, causality and window as one boolean tensor; None where every key may be attended."""
    query = torch.arange(scores.shape[-2], device=scores.device)[:, None]
    key = torch.arange(scores.shape[-1], device=scores.device)[None, :]
    conditions = [mask] if mask is not None else []
    if causal:
        conditions.append(key <= query)
    if window > 0:
        conditions.append((query - key).abs() <= window)
    allowed: Tensor | None = None
    for condition in conditions:
        allowed = condition if allowed is None else allowed & condition
    return allowed
