"""An attention block of a network, and the type by which a network with several is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fovea.contract.attention import AttentionType
from fovea.contract.facts import Facts
from fovea.contract.tensor_spec import TensorSpecs


class AttentionLayer(Facts):
    """One attention block of the network; `maps` are its graph outputs in `maps.onnx`."""

    name: str
    attention: AttentionType
    operator: str | None = None
    """The one that computes it; None where no single one does, and the network gives the maps itself."""
    maps: TensorSpecs = ()
    found: bool = False
    """By a rule, in plain operators of the graph; the module does not say that it is attention."""


def primary_attention(layers: Iterable[AttentionLayer]) -> AttentionType:
    """The most frequent type, the first of equals; `none` without layers."""
    counted = Counter(layer.attention for layer in layers)
    return counted.most_common(1)[0][0] if counted else AttentionType.NONE
