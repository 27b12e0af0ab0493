"""What a session takes and gives: enough to lay out its batches."""

from __future__ import annotations

from dataclasses import dataclass

from fovea.contract.model_card import ModelCard, TensorSpec
from fovea.contract.sequence import SequenceSpec


@dataclass(frozen=True)
class Signature:
    """The tensors of an ONNX file, and how requests share its batches."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    """In the file's order."""
    batched: bool = False
    """True: axis 0 of every tensor is the batch."""
    max_batch_rows: int = 1
    sequence: SequenceSpec | None = None
    """Which axes are lengths, for a model that takes sequences of any length."""

    @classmethod
    def of(cls, card: ModelCard, outputs: tuple[TensorSpec, ...], max_batch_rows: int) -> Signature:
        """Of a card's file with these outputs; without a batch axis, a batch is one request."""
        rows = max_batch_rows if card.batched else 1
        return cls(card.inputs, outputs, card.batched, rows, card.sequence)

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """Inputs, then outputs."""
        return (*self.inputs, *self.outputs)
