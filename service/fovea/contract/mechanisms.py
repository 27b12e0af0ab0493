"""What each attention type is: one record for every label, from which `docs/CATALOGUE.md` is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fovea.contract.attention import AttentionType

Family = Literal["none", "score", "selection", "query and key", "memory", "feature map", "saliency", "not named"]
Weighed = Literal[
    "nothing",
    "channels",
    "channels, then positions",
    "channels by row and column",
    "positions",
    "every number",
    "keys",
    "heads' keys",
    "slots",
    "not known",
]


@dataclass(frozen=True)
class Mechanism:
    """`paper`: an arXiv number, a DOI, or volume and page. `section`: of the article that the catalogue follows."""

    family: Family
    weighs: Weighed
    parametric: bool | None
    """Whether what decides the weights is learned. None: not known."""
    differentiable: bool | None
    """Whether the weights change smoothly with the input, so that a gradient trains what decides them."""
    paper: str = ""
    section: str = ""


MECHANISMS: dict[AttentionType, Mechanism] = {
    AttentionType.NONE: Mechanism("none", "nothing", parametric=False, differentiable=True),
    AttentionType.SQUEEZE_EXCITATION: Mechanism("feature map", "channels", True, True, "arXiv:1709.01507", "4.5"),
    AttentionType.SQUEEZE_ONLY: Mechanism("feature map", "channels", False, True, "arXiv:1709.01507", "4.5"),
    AttentionType.SPATIAL: Mechanism("feature map", "positions", True, True, "arXiv:1807.06521", "1.1"),
    AttentionType.CBAM: Mechanism("feature map", "channels, then positions", True, True, "arXiv:1807.06521", "1.1"),
    AttentionType.SIMAM: Mechanism("feature map", "every number", False, True, "PMLR 139:11863", "4.7"),
    AttentionType.DISTANCE: Mechanism("score", "keys", False, True, "doi:10.1137/1109020", "3.1.1"),
    AttentionType.ADDITIVE: Mechanism("score", "keys", True, True, "arXiv:1409.0473", "3.1.2"),
    AttentionType.DOT: Mechanism("score", "keys", False, True, "arXiv:1508.04025", "3.1.2"),
    AttentionType.SCALED_DOT: Mechanism("score", "keys", False, True, "arXiv:1706.03762", "3.1.2"),
    AttentionType.BILINEAR: Mechanism("score", "keys", True, True, "arXiv:1508.04025", "3.1.2"),
    AttentionType.HARD_ARGMAX: Mechanism("selection", "keys", False, False, "arXiv:1502.03044", "4.2"),
    AttentionType.HARD_SAMPLE: Mechanism("selection", "keys", False, False, "arXiv:1502.03044", "4.2"),
    AttentionType.KEY_VALUE: Mechanism("query and key", "keys", False, True, "arXiv:1606.03126", "4.3"),
    AttentionType.SELF: Mechanism("query and key", "keys", True, True, "arXiv:1706.03762", "4.4"),
    AttentionType.MULTI_HEAD: Mechanism("query and key", "heads' keys", True, True, "arXiv:1706.03762", "4.4"),
    AttentionType.EXTERNAL: Mechanism("memory", "slots", True, True, "arXiv:2105.02358", "4.6"),
    AttentionType.GATED: Mechanism("saliency", "every number", True, True, "arXiv:2010.01073", "1.1"),
    AttentionType.MAX_POOL: Mechanism("saliency", "every number", False, False, "doi:10.1038/14819", "1.1"),
    AttentionType.ECA: Mechanism("feature map", "channels", True, True, "arXiv:1910.03151"),
    AttentionType.COORDINATE: Mechanism("feature map", "channels by row and column", True, True, "arXiv:2103.02907"),
    AttentionType.OTHER: Mechanism("not named", "keys", parametric=None, differentiable=True),
    AttentionType.UNKNOWN: Mechanism("not named", "not known", parametric=None, differentiable=None),
}
