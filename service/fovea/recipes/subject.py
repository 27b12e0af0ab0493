"""What is exported: a module, rows of its input, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from torch import nn

from fovea.contract.attention import AttentionType
from fovea.contract.input_steps import InputSteps, Preprocessing
from fovea.contract.lengths import NamedLengths
from fovea.contract.model_card import Training


@dataclass(frozen=True)
class Subject:
    """`rows(n)` gives n input rows, by input name in the order of the module's arguments; always the same ones."""

    name: str
    module: nn.Module
    rows: Callable[[int], Mapping[str, NDArray[Any]]]
    output_names: Sequence[str]
    """Of what the module gives: first its answers, then attention maps of its own, named `attention.<layer>`."""
    attention: AttentionType | None = None
    """The primary type; None: the most frequent one of its layers."""
    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    input_steps: Mapping[str, InputSteps] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Text files that the steps name, by name."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    training: Training | None = None
    lengths: NamedLengths = field(default_factory=dict)
    """Inputs, mask, padding and buckets of each; which outputs have a length is seen in the graph."""
