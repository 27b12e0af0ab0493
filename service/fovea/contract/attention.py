"""The attention types: one enum, and for each member a record of what kind of attention it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AttentionType(StrEnum):
    """A mechanism's label: in metrics, in model cards and in the module factory."""

    NONE = "none"
    SQUEEZE_EXCITATION = "squeeze_excitation"
    SQUEEZE_ONLY = "squeeze_only"
    SPATIAL = "spatial"
    CBAM = "cbam"
    SIMAM = "simam"
    DISTANCE = "distance"
    ADDITIVE = "additive"
    DOT = "dot"
    SCALED_DOT = "scaled_dot"
    BILINEAR = "bilinear"
    HARD_ARGMAX = "hard_argmax"
    HARD_SAMPLE = "hard_sample"
    KEY_VALUE = "key_value"
    SELF = "self"
    MULTI_HEAD = "multi_head"
    EXTERNAL = "external"
    GATED = "gated"
    MAX_POOL = "max_pool"
    UNKNOWN = "unknown"
    """What looks like attention in a file that nobody labelled, and is none of these. No module is made from it."""

    @property
    def facts(self) -> AttentionFacts:
        """The taxonomy record of this type."""
        return TAXONOMY[self]


class Family(StrEnum):
    """Where attention comes from."""

    BASELINE = "baseline"
    SALIENCY = "bottom-up saliency"
    CONVOLUTIONAL = "convolutional"
    SCORE = "score function"
    SELECTION = "selection"
    SEQUENCE = "sequence"
    MEMORY = "memory"
    UNRECOGNISED = "not recognised"


@dataclass(frozen=True)
class AttentionFacts:
    """What a mechanism is: its family, what it weighs, and whether it learns. Written for who reads or chooses one.

    Tests hold it against the modules; the server's parts read none of it. `module` names the torch module, as
    "package.module:Class"; empty where there is none yet.
    """

    family: Family
    weighs: str
    parametric: bool | None
    differentiable: bool | None
    """None: not known."""
    paper: str
    module: str = ""


_BAHDANAU = "Bahdanau et al. 2015, arXiv:1409.0473"
_LUONG = "Luong et al. 2015, arXiv:1508.04025"
_VASWANI = "Vaswani et al. 2017, arXiv:1706.03762"
_XU = "Xu et al. 2015, arXiv:1502.03044"
_SENET = "Hu et al. 2018, arXiv:1709.01507"
_CBAM = "Woo et al. 2018, arXiv:1807.06521"
_LSTM = "Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735"

TAXONOMY: dict[AttentionType, AttentionFacts] = {
    AttentionType.NONE: AttentionFacts(Family.BASELINE, "nothing", False, True, ""),
    AttentionType.SQUEEZE_EXCITATION: AttentionFacts(
        Family.CONVOLUTIONAL, "channels", True, True, _SENET, "fovea.attention.squeeze_excitation:SqueezeExcitation"
    ),
    AttentionType.SQUEEZE_ONLY: AttentionFacts(
        Family.CONVOLUTIONAL, "channels", False, True, _SENET, "fovea.attention.squeeze_only:SqueezeOnly"
    ),
    AttentionType.SPATIAL: AttentionFacts(
        Family.CONVOLUTIONAL, "positions", True, True, _CBAM, "fovea.attention.spatial:SpatialAttention"
    ),
    AttentionType.CBAM: AttentionFacts(
        Family.CONVOLUTIONAL, "channels, then positions", True, True, _CBAM, "fovea.attention.cbam:CBAM"
    ),
    AttentionType.SIMAM: AttentionFacts(
        Family.CONVOLUTIONAL,
        "channels and positions",
        False,
        True,
        "Yang et al. 2021, PMLR 139:11863",
        "fovea.attention.simam:SimAM",
    ),
    AttentionType.DISTANCE: AttentionFacts(
        Family.SCORE,
        "keys",
        False,
        True,
        "Nadaraya 1964, doi:10.1137/1109020",
        "fovea.attention.distance:DistanceAttention",
    ),
    AttentionType.ADDITIVE: AttentionFacts(
        Family.SCORE, "keys", True, True, _BAHDANAU, "fovea.attention.additive:AdditiveAttention"
    ),
    AttentionType.DOT: AttentionFacts(Family.SCORE, "keys", False, True, _LUONG, "fovea.attention.dot:DotAttention"),
    AttentionType.SCALED_DOT: AttentionFacts(
        Family.SCORE, "keys", False, True, _VASWANI, "fovea.attention.dot:ScaledDotAttention"
    ),
    AttentionType.BILINEAR: AttentionFacts(
        Family.SCORE, "keys", True, True, _LUONG, "fovea.attention.bilinear:BilinearAttention"
    ),
    AttentionType.HARD_ARGMAX: AttentionFacts(Family.SELECTION, "one input", False, False, _XU),
    AttentionType.HARD_SAMPLE: AttentionFacts(Family.SELECTION, "one input", False, False, _XU),
    AttentionType.KEY_VALUE: AttentionFacts(
        Family.SEQUENCE, "values, by their keys", True, True, "Miller et al. 2016, arXiv:1606.03126"
    ),
    AttentionType.SELF: AttentionFacts(
        Family.SEQUENCE,
        "positions of the same sequence",
        True,
        True,
        _VASWANI,
        "fovea.attention.multi_head:SelfAttention",
    ),
    AttentionType.MULTI_HEAD: AttentionFacts(
        Family.SEQUENCE,
        "positions, in several subspaces",
        True,
        True,
        _VASWANI,
        "fovea.attention.multi_head:MultiHeadAttention",
    ),
    AttentionType.EXTERNAL: AttentionFacts(
        Family.MEMORY,
        "slots of a learned memory",
        True,
        True,
        "Guo et al. 2021, arXiv:2105.02358",
        "fovea.attention.external:ExternalAttention",
    ),
    AttentionType.GATED: AttentionFacts(Family.SALIENCY, "features", False, True, _LSTM),
    AttentionType.MAX_POOL: AttentionFacts(
        Family.SALIENCY, "features", False, True, "Riesenhuber and Poggio 1999, doi:10.1038/14819"
    ),
    AttentionType.UNKNOWN: AttentionFacts(Family.UNRECOGNISED, "what is not known", None, None, ""),
}
