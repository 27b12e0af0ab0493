"""The operators `torch.ops.fovea.*`: what one `ai.fovea` node computes, as a readable torch body.

Every operator returns all outputs of its record in `fovea.contract.operators.OPERATORS`: Y first, then the attention
maps. Bodies take float32 or float64 (all tensors of a call alike) and any batch, the empty one too. To add an operator
write its body under `@operator("ContractName")`: shapes for tracing, gradients and the export name follow from it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fovea.attention.registration import OPERATOR_OF as OPERATOR_OF
from fovea.attention.registration import operator


def _bottleneck(pooled: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    return F.linear(F.relu(F.linear(pooled, w1, b1)), w2, b2)  # (N, C) -> (N, C/r) -> (N, C)


def _gate_positions(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)  # (N, 2, H, W)
    gate = torch.sigmoid(F.conv2d(pooled, w, padding=w.shape[-1] // 2))  # (N, 1, H, W)
    return x * gate, gate


@operator("SqueezeExcitation")
def squeeze_excitation(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> tuple[Tensor, Tensor]:
    """Gate = sigmoid(W2 relu(W1 mean(x) + b1) + b2), Y = x · Gate.

    x (N, C, H, W), w1 (C/r, C), w2 (C, C/r) -> Y as x, Gate (N, C).
    """
    gate = torch.sigmoid(_bottleneck(x.mean(dim=(2, 3)), w1, b1, w2, b2))
    return x * gate[:, :, None, None], gate


@operator("SqueezeGate")
def squeeze_gate(x: Tensor) -> tuple[Tensor, Tensor]:
    """Gate = sigmoid(mean(x)), Y = x · Gate; x (N, C, H, W) -> Y as x, Gate (N, C)."""
    gate = torch.sigmoid(x.mean(dim=(2, 3)))
    return x * gate[:, :, None, None], gate


@operator("SpatialAttention")
def spatial_attention(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Map = sigmoid(conv([mean over C; max over C])), Y = x · Map.

    x (N, C, H, W), w (1, 2, k, k), k odd -> Y as x, Map (N, 1, H, W).
    """
    return _gate_positions(x, w)


@operator("CBAM")
def cbam(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gate = sigmoid(mlp(mean(x)) + mlp(max(x))), then spatial attention on x · Gate; Y, Gate (N, C), Map (N, 1, H, W).

    mlp(p) = W2 relu(W1 p + b1) + b2 is the same for both pooled vectors, so b2 is added twice.
    """
    average = _bottleneck(x.mean(dim=(2, 3)), w1, b1, w2, b2)
    largest = _bottleneck(x.amax(dim=(2, 3)), w1, b1, w2, b2)
    gate = torch.sigmoid(average + largest)
    y, position_gate = _gate_positions(x * gate[:, :, None, None], w)
    return y, gate, position_gate


@operator("SimAM")
def simam(x: Tensor, lambda_: float) -> tuple[Tensor, Tensor]:
    """Weights = sigmoid(d / (4 (Σd / n + λ)) + 1/2), d = (x - mean)², n = H·W - 1, Y = x · Weights; both (N, C, H, W).

    A plane of one pixel has d = 0 and n = 0: n counts as 1 there, and the weight is sigmoid(1/2).
    """
    neighbours = max(x.shape[2] * x.shape[3] - 1, 1)
    deviation = (x - x.mean(dim=(2, 3), keepdim=True)).square()
    variance = deviation.sum(dim=(2, 3), keepdim=True) / neighbours
    weights = torch.sigmoid(deviation / (4 * (variance + lambda_)) + 0.5)
    return x * weights, weights


@operator("ExternalAttention")
def external_attention(x: Tensor, mk: Tensor, mv: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """A = softmax over tokens of x Mkᵀ, then divided by (ε + its sum over slots); Y = A Mv.

    x (B, T, D), mk and mv (S, D) -> Y (B, T, D), A (B, T, S).
    """
    over_tokens = torch.softmax(x @ mk.t(), dim=1)  # (B, T, S)
    attention = over_tokens / (over_tokens.sum(dim=2, keepdim=True) + epsilon)
    return attention @ mv, attention


@operator("AdditiveAttention")
def additive_attention(q: Tensor, k: Tensor, value: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """score = Σ_a v[a] tanh(q[a] + k[a]), P = softmax over keys, Y = P value.

    q (B, Tq, A) and k (B, Tk, A) projected, value (B, Tk, D), v (A), mask boolean (B, Tq, Tk), True = may be attended
    -> Y (B, Tq, D), P (B, Tq, Tk). Here and in the other score functions, a query that may attend nothing has P = 0
    and Y = 0.
    """
    _require_fit(q, k, value, mask)
    scores = torch.tanh(q[:, :, None] + k[:, None]) @ v  # (B, Tq, Tk, A) -> (B, Tq, Tk)
    return _attend(scores, value, mask)


@operator("DistanceAttention")
def distance_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """score = -scale · |q - k|², P = softmax over keys, Y = P v.

    q (B, Tq, A), k (B, Tk, A), v (B, Tk, D), mask boolean (B, Tq, Tk) -> Y (B, Tq, D), P (B, Tq, Tk).
    """
    _require_fit(q, k, v, mask)
    scores = -scale * (q[:, :, None] - k[:, None]).square().sum(-1)  # (B, Tq, Tk, A) -> (B, Tq, Tk)
    return _attend(scores, v, mask)


@operator("DotAttention")
def dot_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """score = scale · q·k, P = softmax over keys, Y = P v.

    q (B, Tq, A), k (B, Tk, A), v (B, Tk, D), mask boolean (B, Tq, Tk) -> Y (B, Tq, D), P (B, Tq, Tk).
    """
    _require_fit(q, k, v, mask)
    scores = scale * (q @ k.transpose(1, 2))
    return _attend(scores, v, mask)


@operator("BilinearAttention")
def bilinear_attention(
    q: Tensor, k: Tensor, v: Tensor, w: Tensor, mask: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """score = scale · qᵀ W k, P = softmax over keys, Y = P v.

    q (B, Tq, A), k (B, Tk, E), v (B, Tk, D), w (A, E), mask boolean (B, Tq, Tk) -> Y (B, Tq, D), P (B, Tq, Tk).
    """
    projected = q @ w  # (B, Tq, E)
    _require_fit(projected, k, v, mask)
    scores = scale * (projected @ k.transpose(1, 2))
    return _attend(scores, v, mask)


def _require_fit(q: Tensor, k: Tensor, value: Tensor, mask: Tensor | None) -> None:
    """ValueError where rows, keys, features or mask do not fit together: kernels broadcast nothing."""
    alike = q.shape[::2] == k.shape[::2] and k.shape[:2] == value.shape[:2]
    if not alike or (mask is not None and mask.shape != (*q.shape[:2], k.shape[1])):
        shapes = [list(tensor.shape) for tensor in (q, k, value, mask) if tensor is not None]
        raise ValueError(f"queries, keys, values and mask do not fit together: {', '.join(map(str, shapes))}")


def _attend(scores: Tensor, value: Tensor, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
    """P = softmax of the scores over the allowed keys, zeros where there are none; P value, and P."""
    if allowed is None:
        attention = torch.softmax(scores, dim=-1)
    else:
        lowest = torch.finfo(scores.dtype).min  # finite: a row with nothing allowed must not become NaN
        attention = torch.softmax(scores.masked_fill(~allowed, lowest), dim=-1).masked_fill(~allowed, 0.0)
    return attention @ value, attention


@operator("MultiHeadAttention")
def multi_head_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, causal: bool, window: int
) -> tuple[Tensor, Tensor]:
    """P = softmax(scale · q kᵀ over the allowed keys), Y = P v.

    q (B, H, Tq, d), k and v (B, H, Tk, d), mask boolean, broadcastable to (B, H, Tq, Tk), True = may be attended
    -> Y (B, H, Tq, d), P (B, H, Tq, Tk). `causal` allows key j to query i where j <= i; `window` > 0 where
    |i - j| <= window. A query that may attend nothing has P = 0 and Y = 0.
    """
    scores = q @ k.transpose(-2, -1) * scale
    return _attend(scores, v, _allowed_keys(scores, mask, causal, window))


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
