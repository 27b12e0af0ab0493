"""What attention an ONNX file has, by its structure alone: no name of a layer or of a value counts.

Operators of `ai.fovea` say themselves what they are. Of all else there is one question: does it look like attention?
Then the model is no baseline without attention, whatever it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fovea.contract.attention import AttentionType
from fovea.contract.attention_layer import AttentionLayer, primary_attention
from fovea.contract.operators import DOMAIN, OPERATORS
from fovea.runtime.attention_patterns import patterns
from fovea.runtime.onnx_graph import Node, flat_graph_of_file
from fovea.runtime.printable import printable
from fovea.runtime.protobuf_fields import Steps

_MOST_STEPS = 3_000_000
"""A few seconds. A network of a hundred thousand nodes takes no more."""
_MOST_LAYERS, _LONGEST_NAME = 10_000, 200


@dataclass(frozen=True)
class Seen:
    """What was seen in a file."""

    layers: tuple[tuple[str, str], ...] = ()
    """Name and operator of each node of `ai.fovea`, in order."""
    unnamed: str = ""
    """What is to be said of what else looks like attention; empty where nothing does."""

    @classmethod
    def of_json(cls, facts: dict[str, Any]) -> Seen:
        return cls(tuple((name, operator) for name, operator in facts["layers"]), facts["unnamed"])

    def to_json(self) -> dict[str, Any]:
        """What `of_json` reads back."""
        return asdict(self)

    @property
    def attention_layers(self) -> tuple[AttentionLayer, ...]:
        """The layers, in the form that a card has; of their operators' types, since shapes are not looked at."""
        return tuple(
            AttentionLayer(name=name, attention=OPERATORS[operator].attention, operator=operator)
            for name, operator in self.layers
        )

    @property
    def attention(self) -> AttentionType:
        """The label: the most frequent type, `unknown` where attention has no type, `none` where there is none."""
        if not self.layers and self.unnamed:
            return AttentionType.UNKNOWN
        return primary_attention(self.attention_layers)

    def warning(self, label: AttentionType) -> str:
        """What people should hear of a model that is labelled so, where there is something in `unnamed`."""
        return f"attention={label}: {self.unnamed}"


def attention_seen(model: Path) -> Seen:
    """What is seen in an ONNX file. One that cannot be walked might have anything, and says so in `unnamed`."""
    try:
        return _seen(model)
    except (OSError, ValueError) as error:  # Unreadable is one; an empty file is another
        return Seen(unnamed=printable(f"its graph cannot be looked into: {error}"))


def _seen(model: Path) -> Seen:
    steps = Steps(_MOST_STEPS)
    graph = flat_graph_of_file(model, steps)
    own = [node for node in graph.nodes if node.domain == DOMAIN]
    known = [node for node in own if node.op in OPERATORS]
    found = patterns(graph, steps) + Counter({f"{DOMAIN} {node.op}": 1 for node in own if node.op not in OPERATORS})
    words = ", ".join(f"{number} x {what}" for what, number in found.most_common())
    unnamed = f"its file has what looks like attention and is not recognised: {words}" if found else ""
    return Seen(_named(known[:_MOST_LAYERS]), printable(unnamed))


def _named(nodes: Sequence[Node]) -> tuple[tuple[str, str], ...]:
    """Each node by its name, or by its operator; one that comes again gets `#2`, `#3`."""
    seen = Counter[str]()
    layers = []
    for node in nodes:
        name = printable(node.name, _LONGEST_NAME) or node.op
        seen[name] += 1
        layers.append((name if seen[name] == 1 else f"{name}#{seen[name]}", node.op))
    return tuple(layers)
