"""Draws that anybody can repeat: a counter hash, so that a draw depends on its seed and its place and nothing else.

bits(seed, i, j) = mix(mix(mix(low + mix(high + G)) + (i + 1) G) + (j + 1) G) in 32 bits without sign, where low and
high are the halves of the row's seed; u = (the upper 22 bits + 1/2) / 2²²; noise = -log(-log u), a Gumbel variable.
The function body and the kernel draw the same, bit for bit: of the 2²² noises none is so near to the middle between two
numbers of float32 that errors of float64's logarithms would tell (with 24 bits one was).
"""

from __future__ import annotations

import torch
from torch import Tensor

_32_BITS = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9
"""2³² over the golden ratio: its multiples are spread evenly."""


def _mix(x: Tensor) -> Tensor:
    """`lowbias32` of C. Wellons: each bit of the input turns each bit of the result in half of the cases.

    In int64. The second factor is below 2³¹ in absolute value, as the first is: no product overflows.
    """
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & _32_BITS
    x = x ^ (x >> 15)
    x = (x * (0x846CA68B - (1 << 32))) & _32_BITS
    return x ^ (x >> 16)


def _steps(count: int, device: torch.device) -> Tensor:
    return (torch.arange(1, count + 1, device=device) * _GOLDEN) & _32_BITS


def random_bits(seed: Tensor, queries: int, keys: int) -> Tensor:
    """(B) int64 -> (B, queries, keys) int64, each below 2³²."""
    low, high = seed & _32_BITS, (seed >> 32) & _32_BITS
    row = _mix((low + _mix((high + _GOLDEN) & _32_BITS)) & _32_BITS)  # (B)
    query = _mix((row[:, None] + _steps(queries, seed.device)) & _32_BITS)  # (B, queries)
    return _mix((query[..., None] + _steps(keys, seed.device)) & _32_BITS)


def gumbel_noise(seed: Tensor, queries: int, keys: int) -> Tensor:
    """(B) int64 -> (B, queries, keys) float32: adding it to scores makes the largest a draw from their softmax."""
    return noise_of(random_bits(seed, queries, keys))


def noise_of(bits: Tensor) -> Tensor:
    """-log(-log u) of the upper 22 bits, float32."""
    return (-torch.log(-torch.log(_uniform(bits)))).float()


def normal_noise(seed: Tensor, steps: int, features: int) -> Tensor:
    """(B) int64 -> (B, steps, features) float32, normally distributed, by the transform of Box and Muller (1958)."""
    radius, angle = _uniform(random_bits(seed, steps, 2 * features)).chunk(2, dim=-1)
    return (torch.sqrt(-2 * torch.log(radius)) * torch.sin(2 * torch.pi * angle)).float()


def _uniform(bits: Tensor) -> Tensor:
    """The upper 22 bits as numbers between 0 and 1, float64, never either of them."""
    return ((bits >> 10).double() + 0.5) * 2.0**-22
