"""What a session takes and gives: enough to lay out its batches."""

from __future__ import annotations

from dataclasses import dataclass, field

from fovea.contract.lengths import NamedLengths
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec


@dataclass(frozen=True)
class Signature:
    """The tensors of an ONNX file, and how requests share its batches."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    """The outputs, in the file's order."""
    batched: bool = False
    """True: axis 0 of every tensor is the batch."""
    max_batch_rows: int = 1
    lengths: NamedLengths = field(default_factory=dict)
    """Which axes are lengths, by the lengths' names."""

    @classmethod
    def of(cls, card: ModelCard, outputs: tuple[TensorSpec, ...], max_batch_rows: int) -> Signature:
        """Of a card's file with these outputs; without a batch axis, a batch is one request."""
        rows = max_batch_rows if card.batched else 1
        return cls(card.inputs, outputs, card.batched, rows, card.lengths)

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """Inputs, then outputs."""
        return (*self.inputs, *self.outputs)
