"""Inputs for every operator at awkward sizes: one, around a vector's length, primes, empty, more than one block."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAP_SHAPES = (
    *((1, 1, 1, 1), (2, 3, 1, 1), (1, 4, 1, 17), (2, 5, 7, 7), (1, 7, 3, 5), (3, 17, 13, 11), (9, 8, 4, 4)),
    *((1, 64, 16, 16), (1, 6, 5, 63), (1, 6, 3, 64), (2, 33, 5, 65), (8, 16, 28, 28), (1, 16, 56, 56)),
    (0, 4, 5, 5),
)
SEQUENCE_SIZES = (
    *((1, 1, 1, 1, 1), (2, 3, 5, 7, 11), (1, 7, 15, 16, 17), (3, 1, 64, 31, 1), (1, 16, 17, 128, 33)),
    *((2, 50, 65, 8, 64), (9, 5, 6, 4, 3), (33, 2, 3, 4, 5), (1, 97, 13, 5, 70), (1, 5, 18, 300, 4)),
    *((0, 3, 4, 5, 6), (2, 0, 4, 5, 6), (2, 3, 0, 5, 6)),
)
"""(batch, queries, keys, depth, width of a value)"""
TOKEN_SIZES = (
    *((1, 1, 1, 1), (2, 7, 5, 3), (1, 65, 17, 64), (9, 13, 31, 16), (2, 196, 64, 32), (1, 40, 300, 18)),
    *((0, 3, 4, 5), (2, 0, 4, 5), (2, 3, 0, 4)),
)
"""(batch, tokens, width, slots)"""

HEAD_SIZES = (
    *((1, 1, 1, 1, 1, 1), (2, 3, 5, 7, 11, 4), (1, 2, 15, 16, 17, 5), (3, 1, 64, 64, 24, 24), (1, 1, 65, 63, 16, 33)),
    *((2, 2, 17, 5, 1, 70), (1, 1, 130, 241, 8, 3), (1, 2, 1, 131, 64, 64), (1, 1, 67, 1, 40, 80), (9, 2, 3, 6, 4, 4)),
    *((0, 2, 3, 4, 5, 5), (2, 0, 3, 4, 5, 5), (2, 1, 0, 4, 5, 5), (2, 1, 3, 0, 5, 5), (1, 2, 3, 4, 0, 5)),
)
"""(batch, heads, queries, keys, depth, width of a value)"""
MASK_FORMS = ("B11K", "BH1K", "B1QK", "BHQK", "QK", "HQK", "1H1K", "BHQ1", "K")
"""Which axes a mask has: 1 is an axis of size 1."""

GATED = (
    *("SqueezeExcitation", "SqueezeGate", "SpatialAttention", "CBAM", "SimAM", "Gate", "MaxPoolAttention"),
    *("EfficientChannelAttention", "CoordinateAttention"),
)
SETTINGS: dict[str, dict[str, Any]] = {
    "SqueezeExcitation": {"activation": "relu", "slope": 0.0},
    "SimAM": {"lambda": 1e-4},
    "MaxPoolAttention": {"size": 2},
}
"""Of the operators on feature maps that have some."""
SCORED = ("AdditiveAttention", "DistanceAttention", "DotAttention", "BilinearAttention")
HARD = ("HardArgmaxAttention", "HardSampleAttention")


@dataclass(frozen=True)
class Case:
    """A node's inputs and settings."""

    operator: str
    inputs: dict[str, NDArray[Any]]
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        sizes = ["x".join(map(str, array.shape)) for array in list(self.inputs.values())[:2]]
        masked = ["x".join(["mask", *map(str, self.inputs["mask"].shape)])] if "mask" in self.inputs else []
        options = [f"{name}{value}" for name, value in self.settings.items() if name in ("causal", "window") and value]
        options += [str(value) for name, value in self.settings.items() if name in ("activation", "slope", "size")]
        return "-".join([self.operator, *sizes, *masked, *options])

    def with_dtype(self, dtype: type) -> Case:
        """The same numbers, as far as the dtype holds them."""
        cast = {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in self.inputs.items()}
        return Case(self.operator, cast, self.settings)


def _normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> NDArray[Any]:
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def map_case(operator: str, shape: tuple[int, ...], kernel_size: int = 7) -> Case:
    """A feature map whose planes differ in mean and spread, and what the operator takes beside it."""
    rng = np.random.default_rng(sum(shape))
    channels, plain = shape[1], operator.removesuffix("AddRelu")
    hidden = max(channels // 16, 4)
    x = _normal(rng, *shape) * rng.uniform(0.1, 3, (1, channels, 1, 1)) + rng.uniform(-2, 2, (1, channels, 1, 1))
    inputs = {"X": x.astype(np.float32)}
    if plain in ("SqueezeExcitation", "CBAM"):
        inputs |= {"W1": _normal(rng, hidden, channels, scale=channels**-0.5), "B1": _normal(rng, hidden)}
        inputs |= {"W2": _normal(rng, channels, hidden, scale=hidden**-0.5), "B2": _normal(rng, channels)}
    if plain in ("SpatialAttention", "CBAM"):
        inputs["W"] = _normal(rng, 1, 2, kernel_size, kernel_size, scale=0.2)
    if plain == "EfficientChannelAttention":
        inputs["W"] = _normal(rng, 1, 1, kernel_size)
    if plain == "CoordinateAttention":
        inputs |= {"W1": _normal(rng, hidden, channels, scale=channels**-0.5), "B1": _normal(rng, hidden)}
        for line in "rc":
            inputs |= {f"W{line}": _normal(rng, channels, hidden), f"B{line}": _normal(rng, channels)}
    if plain == "Gate":
        inputs["S"] = _normal(rng, *shape, scale=3)
    if plain == "MaxPoolAttention":
        inputs["X"] = np.round(inputs["X"], 1)  # so that windows have several maxima
    if plain != operator:
        inputs["R"] = _normal(rng, *shape)
    return Case(operator, inputs, SETTINGS.get(plain, {}))


def squeeze_case(operator: str, activation: str, slope: float, without: tuple[str, ...] = ()) -> Case:
    """Squeeze-and-excitation as others have it. Its scores are large enough for a hard gate to be shut and open."""
    case = map_case(operator, (3, 17, 5, 7))
    inputs = {name: array for name, array in case.inputs.items() if name not in without}
    inputs["W2"] = inputs["W2"] * np.float32(3)
    return Case(operator, inputs, {"activation": activation, "slope": slope})


def score_case(operator: str, sizes: tuple[int, ...], *, masked: bool = False, scale: float = 1.0) -> Case:
    """Queries, keys and values; where masked, every third query may attend nothing."""
    batch, queries, keys, depth, width = sizes
    rng = np.random.default_rng(sum(sizes))
    key_depth = depth + 2 if operator == "BilinearAttention" else depth
    inputs = {"Q": _normal(rng, batch, queries, depth, scale=scale)}
    inputs["K"] = _normal(rng, batch, keys, key_depth, scale=scale)
    inputs["V"] = _normal(rng, batch, keys, width)
    if operator == "AdditiveAttention":
        inputs["v"] = _normal(rng, depth)
    if operator == "BilinearAttention":
        inputs["W"] = _normal(rng, depth, key_depth, scale=depth**-0.5)
    if masked:
        inputs["mask"] = rng.random((batch, queries, keys)) < 0.6
        inputs["mask"][:, ::3] = False
    return Case(operator, inputs, {} if operator == "AdditiveAttention" else {"scale": 0.5})


def masks_of(form: str, shape: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Mask and bias of a form, for (batch, heads, queries, keys, ...); some queries may attend nothing."""
    sizes = dict(zip("BHQK", shape, strict=False)) | {"1": 1}
    rng = np.random.default_rng(sum(shape))
    mask = rng.random([sizes[axis] for axis in form]) < 0.7
    bias = np.where(rng.random(mask.shape) < 0.8, rng.standard_normal(mask.shape), -np.inf).astype(np.float32)
    if "Q" in form:
        rows = np.arange(sizes["Q"]) % 3 == 1
        mask, bias = mask & ~rows[:, None], np.where(rows[:, None], np.float32(-np.inf), bias)
    return {"mask": mask, "bias": bias}


def head_case(sizes: tuple[int, ...], *, form: str | None = None, causal: int = 0, window: int = 0) -> Case:
    """Queries, keys and values of many heads, with mask and bias of that form."""
    batch, heads, queries, keys, depth, width = sizes
    rng = np.random.default_rng(sum(sizes))
    shapes = {"Q": (queries, depth), "K": (keys, depth), "V": (keys, width)}
    inputs = {name: _normal(rng, batch, heads, *shape) for name, shape in shapes.items()}
    masks = {} if form is None else masks_of(form, sizes)
    return Case("MultiHeadAttention", inputs | masks, {"scale": 0.5, "causal": causal, "window": window})


def hard_case(operator: str, sizes: tuple[int, ...], *, masked: bool = False) -> Case:
    """Scores, many of them equal, and values; seeds of all kinds."""
    batch, queries, keys, _, width = sizes
    rng = np.random.default_rng(sum(sizes))
    inputs: dict[str, NDArray[Any]] = {"Scores": np.round(_normal(rng, batch, queries, keys), 1)}
    inputs["V"] = _normal(rng, batch, keys, width)
    if operator == "HardSampleAttention":
        inputs["seed"] = np.resize(np.array([3, -1, 2**63 - 1, -(2**63), 7 << 40]), batch)
    if masked:
        inputs["mask"] = rng.random((batch, queries, keys)) < 0.6
        inputs["mask"][:, ::3] = False
    return Case(operator, inputs)


def external_case(sizes: tuple[int, ...]) -> Case:
    """Tokens and the two memories."""
    batch, tokens, width, slots = sizes
    rng = np.random.default_rng(sum(sizes))
    memories = {name: _normal(rng, slots, width, scale=max(width, 1) ** -0.5) for name in ("Mk", "Mv")}
    return Case("ExternalAttention", {"X": _normal(rng, batch, tokens, width), **memories}, {"epsilon": 1e-9})


CASES: tuple[Case, ...] = (
    *(map_case(name, shape) for name in GATED for shape in MAP_SHAPES),
    *(map_case(f"{name}AddRelu", shape) for name in GATED for shape in MAP_SHAPES[3:11]),
    *(map_case("SpatialAttention", (2, 3, 9, 20), size) for size in (1, 3, 5)),
    *(map_case("EfficientChannelAttention", (2, channels, 3, 4), size) for channels in (2, 40) for size in (1, 3, 9)),
    *(replace(map_case("MaxPoolAttention", (2, 3, 9, 20)), settings={"size": size}) for size in (1, 3, 7, 20, 64)),
    *(
        squeeze_case("SqueezeExcitation", activation, slope)
        for activation in ("relu", "silu", "hard_swish")
        for slope in (0.0, 1 / 6, 0.2)
    ),
    squeeze_case("SqueezeExcitation", "relu", 0.0, ("B1",)),
    squeeze_case("SqueezeExcitation", "silu", 0.0, ("B1", "B2")),
    squeeze_case("SqueezeExcitationAddRelu", "hard_swish", 0.2, ("B2",)),
    squeeze_case("SqueezeExcitationAddRelu", "relu", 1 / 6, ("B1", "B2")),
    *(
        score_case(name, sizes, masked=masked)
        for name in SCORED
        for sizes in SEQUENCE_SIZES
        for masked in (False, True)
    ),
    *(external_case(sizes) for sizes in TOKEN_SIZES),
    *(
        head_case(sizes, causal=causal, window=window)
        for sizes in HEAD_SIZES
        for causal, window in ((0, 0), (1, 0), (0, 3), (1, 40), (0, 1000))
    ),
    *(head_case(sizes, form=form) for sizes in HEAD_SIZES[1:7:2] for form in MASK_FORMS),
    *(head_case(sizes, form=form, causal=1, window=50) for sizes in HEAD_SIZES[6:9] for form in ("B11K", "QK")),
    *(hard_case(name, sizes, masked=masked) for name in HARD for sizes in SEQUENCE_SIZES for masked in (False, True)),
)
