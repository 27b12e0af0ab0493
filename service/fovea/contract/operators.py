"""The operators of domain `ai.fovea`: the names that ONNX files, function bodies and kernels share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fovea.contract.attention import AttentionType

DOMAIN = "ai.fovea"
VERSION = 1

_LAYERS = ("W1", "B1", "W2", "B2")


@dataclass(frozen=True)
class Operator:
    """One operator: what a single ONNX node computes. The first output is Y; the rest are attention maps.

    `inputs` are tensors in order; names ending in "?" may be left out. `attributes` are numbers and words.
    """

    name: str
    attention: AttentionType
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    fused_by_onnx_runtime: bool = False
    """Whether ONNX Runtime has a fused kernel for the heart of its body: where ours are not, none is missed."""

    @property
    def maps(self) -> tuple[str, ...]:
        """The outputs that are attention maps."""
        return self.outputs[1:]


def _residual_form(plain: Operator) -> Operator:
    """The operator that takes R last, of X's shape, and gives Y = relu(block + R): the end of a residual branch."""
    return replace(plain, name=f"{plain.name}AddRelu", inputs=(*plain.inputs, "R"))


def _table(*operators: Operator) -> dict[str, Operator]:
    return {operator.name: operator for operator in operators}


_FEATURE_MAP_OPERATORS = _table(
    Operator(
        "SqueezeExcitation",
        AttentionType.SQUEEZE_EXCITATION,
        ("X", "W1", "B1?", "W2", "B2?"),
        ("Y", "Gate"),
        ("activation", "slope"),
    ),
    Operator("SqueezeGate", AttentionType.SQUEEZE_ONLY, ("X",), ("Y", "Gate")),
    Operator("SpatialAttention", AttentionType.SPATIAL, ("X", "W"), ("Y", "Map")),
    Operator("CBAM", AttentionType.CBAM, ("X", *_LAYERS, "W"), ("Y", "Gate", "Map")),
    Operator("SimAM", AttentionType.SIMAM, ("X",), ("Y", "Weights"), ("lambda",)),
    Operator("Gate", AttentionType.GATED, ("X", "S"), ("Y", "Gate")),
    Operator("MaxPoolAttention", AttentionType.MAX_POOL, ("X",), ("Y", "Mask"), ("size",)),
    Operator("EfficientChannelAttention", AttentionType.ECA, ("X", "W"), ("Y", "Gate")),
    Operator(
        "CoordinateAttention",
        AttentionType.COORDINATE,
        ("X", "W1", "B1", "Wr", "Br", "Wc", "Bc"),
        ("Y", "Rows", "Columns"),
    ),
)

RESIDUAL_FORMS: dict[str, Operator] = {
    name: _residual_form(operator) for name, operator in _FEATURE_MAP_OPERATORS.items()
}
"""Plain operator's name -> its residual form: the same attention, attributes and maps."""

OPERATORS: dict[str, Operator] = _table(
    *_FEATURE_MAP_OPERATORS.values(),
    *RESIDUAL_FORMS.values(),
    Operator("ExternalAttention", AttentionType.EXTERNAL, ("X", "Mk", "Mv"), ("Y", "A"), ("epsilon",)),
    Operator("AdditiveAttention", AttentionType.ADDITIVE, ("Q", "K", "V", "v", "mask?"), ("Y", "P")),
    Operator("DistanceAttention", AttentionType.DISTANCE, ("Q", "K", "V", "mask?"), ("Y", "P"), ("scale",)),
    Operator("DotAttention", AttentionType.DOT, ("Q", "K", "V", "mask?"), ("Y", "P"), ("scale",)),
    Operator("BilinearAttention", AttentionType.BILINEAR, ("Q", "K", "V", "W", "mask?"), ("Y", "P"), ("scale",)),
    Operator("HardArgmaxAttention", AttentionType.HARD_ARGMAX, ("Scores", "V", "mask?"), ("Y", "Index")),
    Operator("HardSampleAttention", AttentionType.HARD_SAMPLE, ("Scores", "V", "seed", "mask?"), ("Y", "Index")),
    Operator(
        "MultiHeadAttention",
        AttentionType.MULTI_HEAD,
        ("Q", "K", "V", "mask?", "bias?"),
        ("Y", "P"),
        ("scale", "causal", "window"),
        fused_by_onnx_runtime=True,
    ),
)
"""Every operator of this version; each has a formula in `fovea.attention` and a body in `fovea.export`."""
