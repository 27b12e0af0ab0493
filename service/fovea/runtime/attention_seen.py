"""What attention an ONNX file has, by its structure alone: no name of a layer or of a value counts.

Operators of `ai.fovea` say themselves what they are. Of all else there is one question: does it look like attention?
Then the model is no baseline without attention, whatever it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from fovea.contract.attention import AttentionType
from fovea.contract.model_card import AttentionLayer, primary_attention
from fovea.contract.operators import DOMAIN, OPERATORS
from fovea.runtime.attention_patterns import patterns
from fovea.runtime.onnx_graph import Node, flat_graph
from fovea.runtime.protobuf_fields import Steps, Unreadable

_MOST_STEPS = 5_000_000
"""Some seconds; a network of a thousand layers takes a tenth of it."""


@dataclass(frozen=True)
class Seen:
    """What was seen in a file."""

    layers: tuple[tuple[str, str], ...] = ()
    """Name and operator of each node of `ai.fovea`, in order."""
    unnamed: str = ""
    """What else looks like attention, in words; empty where nothing does."""

    @classmethod
    def of_json(cls, facts: dict[str, Any]) -> Seen:
        """From what `to_json` gave."""
        return cls(tuple((name, operator) for name, operator in facts["layers"]), facts["unnamed"])

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it."""
        return asdict(self)

    @property
    def attention_layers(self) -> tuple[AttentionLayer, ...]:
        """As a card has them."""
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


def attention_seen(model: Path) -> Seen:
    """What is seen in an ONNX file. One that cannot be walked might have anything, and says so in `unnamed`."""
    try:
        with model.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content, memoryview(content) as raw:
            return _seen(raw)
    except Unreadable as error:
        return Seen(unnamed=f"whatever is in its graph: {error}")


def _seen(raw: memoryview) -> Seen:
    steps = Steps(_MOST_STEPS)
    graph = flat_graph(raw, steps)
    own = [node for node in graph.nodes if node.domain == DOMAIN]
    known = [node for node in own if node.op in OPERATORS]
    found = patterns(graph, steps) + Counter({f"{DOMAIN} {node.op}": 1 for node in own if node.op not in OPERATORS})
    words = ", ".join(f"{number} x {what}" for what, number in found.most_common())
    return Seen(_named(known), words)


def _named(nodes: Sequence[Node]) -> tuple[tuple[str, str], ...]:
    """Each node by its name, or by its operator; one that comes again gets `#2`, `#3`."""
    seen = Counter[str]()
    layers = []
    for node in nodes:
        name = node.name or node.op
        seen[name] += 1
        layers.append((name if seen[name] == 1 else f"{name}#{seen[name]}", node.op))
    return tuple(layers)
