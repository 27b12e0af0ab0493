"""The operators of domain `ai.fovea`: the names that ONNX files, function bodies and kernels share."""

from __future__ import annotations

from dataclasses import dataclass

from fovea.contract.attention import AttentionType

DOMAIN = "ai.fovea"
VERSION = 1

_SE_WEIGHTS = ("W1", "B1", "W2", "B2")


@dataclass(frozen=True)
class Operator:
    """One operator: what a single ONNX node computes. The first output is Y; the rest are attention maps.

    `inputs` are tensors in order; names ending in "?" may be left out. `attributes` are numbers, HardAttention's text.
    """

    name: str
    attention: AttentionType
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[str, ...] = ()

    @property
    def maps(self) -> tuple[str, ...]:
        """The outputs that are attention maps."""
        return self.outputs[1:]


def _table(*operators: Operator) -> dict[str, Operator]:
    return {operator.name: operator for operator in operators}


OPERATORS: dict[str, Operator] = _table(
    Operator("SqueezeExcitation", AttentionType.SQUEEZE_EXCITATION, ("X", *_SE_WEIGHTS), ("Y", "Gate")),
    Operator("SqueezeGate", AttentionType.SQUEEZE_ONLY, ("X",), ("Y", "Gate")),
    Operator("SpatialAttention", AttentionType.SPATIAL, ("X", "W"), ("Y", "Map")),
    Operator("CBAM", AttentionType.CBAM, ("X", *_SE_WEIGHTS, "W"), ("Y", "Gate", "Map")),
    Operator("SimAM", AttentionType.SIMAM, ("X",), ("Y", "Weights"), ("lambda",)),
    Operator("ExternalAttention", AttentionType.EXTERNAL, ("X", "Mk", "Mv"), ("Y", "A"), ("epsilon",)),
    Operator("AdditiveAttention", AttentionType.ADDITIVE, ("Q", "K", "V", "v", "mask?"), ("Y", "P")),
    Operator("DistanceAttention", AttentionType.DISTANCE, ("Q", "K", "V", "mask?"), ("Y", "P"), ("scale",)),
    Operator("DotAttention", AttentionType.DOT, ("Q", "K", "V", "mask?"), ("Y", "P"), ("scale",)),
    Operator("BilinearAttention", AttentionType.BILINEAR, ("Q", "K", "V", "W", "mask?"), ("Y", "P"), ("scale",)),
    Operator(
        "MultiHeadAttention",
        AttentionType.MULTI_HEAD,
        ("Q", "K", "V", "mask?"),
        ("Y", "P"),
        ("scale", "causal", "window"),
    ),
    Operator("HardAttention", AttentionType.HARD_ARGMAX, ("scores", "V", "mask?", "seed?"), ("Y", "Index"), ("mode",)),
    Operator("Gate", AttentionType.GATED, ("X",), ("Y", "Gate")),
    Operator("MaxPoolAttention", AttentionType.MAX_POOL, ("X",), ("Y", "Mask")),
)
"""Every operator of this version. The residual forms (`…AddRelu`) take R last and compute relu(block + R)."""
