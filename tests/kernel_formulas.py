"""Every operator's formula in numpy, straight from its paper: in float64 the oracle, in float32 the plain version.

Each takes the node's inputs by name and its settings, all arrays of one dtype, and gives the node's outputs in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[Any]


def sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-x))).astype(x.dtype)


def softmax(scores: Array, mask: Array | None, axis: int = -1) -> Array:
    """Over the allowed positions; zeros where there are none."""
    if scores.shape[axis] == 0:
        return scores
    allowed = np.ones(scores.shape, bool) if mask is None else mask
    peak = np.where(allowed, scores, -np.inf).max(axis, keepdims=True)
    e = np.where(allowed, np.exp(scores - np.where(np.isfinite(peak), peak, 0)), 0)
    total = e.sum(axis, keepdims=True)
    shares: Array = np.divide(e, total, out=np.zeros_like(e), where=allowed.any(axis, keepdims=True))
    return shares.astype(scores.dtype)


def _gated(x: Array, gate: Array) -> tuple[Array, Array]:
    return x * gate[:, :, None, None], gate


def hard_sigmoid(x: Array, slope: float) -> Array:
    line: Array = x * x.dtype.type(slope) + x.dtype.type(0.5)
    return line.clip(0, 1)


def hard_swish(x: Array) -> Array:
    return x * hard_sigmoid(x, 1 / 6)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x * sigmoid(x),
    "hard_swish": hard_swish,
}


def _mlp(pooled: Array, i: dict[str, Array], activation: str = "relu") -> Array:
    hidden: Array = ACTIVATIONS[activation](pooled @ i["W1"].T + i.get("B1", 0))
    return hidden @ i["W2"].T + i.get("B2", 0)


def squeeze_excitation(i: dict[str, Array], activation: str, slope: float) -> tuple[Array, ...]:
    scores = _mlp(i["X"].mean((2, 3)), i, activation)
    return _gated(i["X"], hard_sigmoid(scores, slope) if slope else sigmoid(scores))


def efficient_channel_attention(i: dict[str, Array]) -> tuple[Array, ...]:
    w = i["W"][0, 0]
    padded = np.pad(i["X"].mean((2, 3)), ((0, 0), (len(w) // 2,) * 2))
    return _gated(i["X"], sigmoid(sliding_window_view(padded, len(w), 1) @ w))


def coordinate_attention(i: dict[str, Array]) -> tuple[Array, ...]:
    x = i["X"]
    rows, columns = (
        sigmoid(i[weights] @ hard_swish(i["W1"] @ x.mean(axis) + i["B1"][:, None]) + i[bias][:, None])
        for axis, weights, bias in ((3, "Wr", "Br"), (2, "Wc", "Bc"))
    )
    return x * rows[:, :, :, None] * columns[:, :, None], rows, columns


def gate(i: dict[str, Array]) -> tuple[Array, ...]:
    passed = sigmoid(i["S"])
    return i["X"] * passed, passed


def max_pool_attention(i: dict[str, Array], size: int) -> tuple[Array, ...]:
    x, mask = i["X"], np.zeros(i["X"].shape, bool)
    ordered = np.where(np.isnan(x), np.inf, x)
    for top in range(0, x.shape[2], size):
        for left in range(0, x.shape[3], size):
            window = np.s_[:, :, top : top + size, left : left + size]
            mask[window] = ordered[window] == ordered[window].max((2, 3), keepdims=True)
    return np.where(mask, x, x.dtype.type(0)), mask.astype(x.dtype)


def squeeze_gate(i: dict[str, Array]) -> tuple[Array, ...]:
    return _gated(i["X"], sigmoid(i["X"].mean((2, 3))))


def spatial_attention(i: dict[str, Array]) -> tuple[Array, ...]:
    x, w = i["X"], i["W"]
    pooled = np.stack([x.mean(1), x.max(1)], 1)
    border = w.shape[-1] // 2
    padded = np.pad(pooled, ((0, 0), (0, 0), (border, border), (border, border)))
    windows = sliding_window_view(padded, w.shape[2:], (2, 3))  # (N, 2, H, W, k, k)
    gate = sigmoid(np.einsum("nchwij,cij->nhw", windows, w[0])[:, None])
    return x * gate, gate


def cbam(i: dict[str, Array]) -> tuple[Array, ...]:
    x = i["X"]
    gated, gate = _gated(x, sigmoid(_mlp(x.mean((2, 3)), i) + _mlp(x.max((2, 3)), i)))
    y, position_gate = spatial_attention({"X": gated, "W": i["W"]})
    return y, gate, position_gate


def simam(i: dict[str, Array], lambda_: float) -> tuple[Array, ...]:
    x = i["X"]
    deviation = (x - x.mean((2, 3), keepdims=True)) ** 2
    variance = deviation.sum((2, 3), keepdims=True) / max(x.shape[2] * x.shape[3] - 1, 1)
    weights = sigmoid(deviation / (4 * (variance + x.dtype.type(lambda_))) + x.dtype.type(0.5))
    return x * weights, weights


def external_attention(i: dict[str, Array], epsilon: float) -> tuple[Array, ...]:
    over_tokens = softmax(i["X"] @ i["Mk"].T, None, axis=1)
    attention = over_tokens / (over_tokens.sum(2, keepdims=True) + i["X"].dtype.type(epsilon))
    return attention @ i["Mv"], attention


def hard_argmax_attention(i: dict[str, Array]) -> tuple[Array, ...]:
    """Query by query; where nothing is open, zeros and -1."""
    scores, v = i["Scores"], i["V"]
    allowed = i.get("mask", np.ones(scores.shape, bool))
    y, index = np.zeros((*scores.shape[:2], v.shape[2]), v.dtype), np.full(scores.shape[:2], -1)
    for row, query in np.ndindex(*scores.shape[:2]):
        if (open_keys := np.flatnonzero(allowed[row, query])).size:
            index[row, query] = open_keys[scores[row, query, open_keys].argmax()]
            y[row, query] = v[row, index[row, query]]
    return y, index


def hard_sample_attention(i: dict[str, Array]) -> tuple[Array, ...]:
    """The largest of the scores with Gumbel noise, which is made of 64-bit counters here, one key at a time."""
    noise = np.zeros(i["Scores"].shape, np.float32)
    for row, query, key in np.ndindex(*noise.shape):
        low, high = int(i["seed"][row]) & 0xFFFFFFFF, (int(i["seed"][row]) >> 32) & 0xFFFFFFFF
        state = _mixed(_mixed(low + _mixed(high + _GOLDEN)) + _GOLDEN * (query + 1))
        uniform = ((_mixed(state + _GOLDEN * (key + 1)) >> 10) + 0.5) / 2**22
        noise[row, query, key] = -math.log(-math.log(uniform))
    return hard_argmax_attention({**i, "Scores": i["Scores"] + noise})


_GOLDEN = 0x9E3779B9


def _mixed(x: int) -> int:
    x = (x ^ (x & 0xFFFFFFFF) >> 16) & 0xFFFFFFFF
    x = x * 0x7FEB352D & 0xFFFFFFFF
    x = (x ^ x >> 15) * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


def _attended(scores: Array, i: dict[str, Array]) -> tuple[Array, ...]:
    attention = softmax(scores, i.get("mask"))
    return attention @ i["V"], attention


def additive_attention(i: dict[str, Array]) -> tuple[Array, ...]:
    return _attended(np.tanh(i["Q"][:, :, None] + i["K"][:, None]) @ i["v"], i)


def distance_attention(i: dict[str, Array], scale: float) -> tuple[Array, ...]:
    return _attended(-i["Q"].dtype.type(scale) * ((i["Q"][:, :, None] - i["K"][:, None]) ** 2).sum(-1), i)


def dot_attention(i: dict[str, Array], scale: float) -> tuple[Array, ...]:
    return _attended(i["Q"].dtype.type(scale) * (i["Q"] @ i["K"].swapaxes(1, 2)), i)


def bilinear_attention(i: dict[str, Array], scale: float) -> tuple[Array, ...]:
    return _attended(i["Q"].dtype.type(scale) * (i["Q"] @ i["W"] @ i["K"].swapaxes(1, 2)), i)


def multi_head_attention(i: dict[str, Array], scale: float, causal: int, window: int) -> tuple[Array, ...]:
    scores = i["Q"].dtype.type(scale) * (i["Q"] @ i["K"].swapaxes(2, 3))
    ahead = np.arange(scores.shape[3]) - np.arange(scores.shape[2])[:, None]
    near = np.abs(ahead) <= window if window else np.ones(ahead.shape, bool)
    allowed = np.broadcast_to(near & (ahead <= 0) if causal else near, scores.shape)
    if "bias" in i:
        allowed, scores = allowed & (i["bias"] > -np.inf), scores + np.maximum(i["bias"], np.finfo(scores.dtype).min)
    return _attended(scores, i | {"mask": allowed & i["mask"] if "mask" in i else allowed})


FORMULAS: dict[str, Callable[..., tuple[Array, ...]]] = {
    "SqueezeExcitation": squeeze_excitation,
    "SqueezeGate": squeeze_gate,
    "SpatialAttention": spatial_attention,
    "CBAM": cbam,
    "SimAM": simam,
    "Gate": gate,
    "MaxPoolAttention": max_pool_attention,
    "EfficientChannelAttention": efficient_channel_attention,
    "CoordinateAttention": coordinate_attention,
    "ExternalAttention": external_attention,
    "AdditiveAttention": additive_attention,
    "DistanceAttention": distance_attention,
    "DotAttention": dot_attention,
    "BilinearAttention": bilinear_attention,
    "MultiHeadAttention": multi_head_attention,
    "HardArgmaxAttention": hard_argmax_attention,
    "HardSampleAttention": hard_sample_attention,
}
"""Operator -> formula, without the residual forms."""


def formula(operator: str, inputs: dict[str, Array], settings: dict[str, Any], dtype: type) -> tuple[Array, ...]:
    """An operator's outputs computed in `dtype`; an `…AddRelu` form is relu(block + R)."""
    cast = {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in inputs.items()}
    plain = operator.removesuffix("AddRelu")
    y, *maps = FORMULAS[plain](cast, *settings.values())
    return (np.maximum(y + cast["R"], 0) if plain != operator else y, *maps)
