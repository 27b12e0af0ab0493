"""Whether what a run costs goes by the shapes of its inputs alone, or may go by their values."""

from __future__ import annotations

from pathlib import Path

from fovea.contract.operators import DOMAIN
from fovea.runtime.onnx_graph import JOIN, flat_graph_of_file
from fovea.runtime.protobuf_fields import Steps

_MOST_STEPS = 100_000
"""Some milliseconds; a graph that takes more is not brief either."""
_KNOWN = ("", "ai.onnx", "com.microsoft", DOMAIN)
_BY_VALUES = frozenset(
    [
        "Compress",
        "ConstantOfShape",
        "Expand",
        "NonMaxSuppression",
        "NonZero",
        "OneHot",
        "Range",
        "Resize",
        "Tile",
        "Unique",
        "Upsample",
    ]
)
"""The size of what these give may be the value of an input."""


def has_steady_cost(model: Path) -> bool:
    """False of an ONNX file with a loop, a choice of sub-graphs, a size that may be a value, or an operator of a
    domain that is not known; and of one that cannot be looked into.
    """
    try:
        nodes = flat_graph_of_file(model, Steps(_MOST_STEPS)).nodes
    except (OSError, ValueError):  # Unreadable is one
        return False
    return all(node.op != JOIN and node.op not in _BY_VALUES and node.domain in _KNOWN for node in nodes)
