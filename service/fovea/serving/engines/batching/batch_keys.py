"""Which requests may share a batch: those of one shape, and sequences that fall into one bucket."""

from __future__ import annotations

from collections.abc import Mapping

from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import ModelCard
from fovea.contract.sequence import SequenceSpec
from fovea.serving.engines.batching.queued_request import BatchKey

Shape = tuple[int, ...]


class BatchKeys:
    """Tells a request's key from its shapes, by input name."""

    def __init__(self, card: ModelCard) -> None:
        self._sequence = card.sequence
        mask = card.sequence.mask if card.sequence else None
        self.optional = {*card.optional_inputs, *([mask] if mask else [])}
        """Inputs that a request may leave out; the mask, since the server makes it."""
        self._names = [spec.name for spec in card.inputs if spec.name != mask]
        self._first_axis = 1 if card.batched else 0

    def of(self, shapes: Mapping[str, Shape], *, maps: bool) -> BatchKey:
        """The key; InvalidRequest where sequences differ in their length or are empty."""
        if self._sequence is None:
            return BatchKey(tuple(self._beyond_rows(shapes.get(name)) for name in self._names), maps)
        length = self._length(self._sequence, shapes)
        bucket = self._sequence.bucket(length)
        shared = bucket if self._sequence.padded else length
        return BatchKey(tuple(self._padded(name, shapes[name], shared) for name in self._names), maps, bucket)

    def _beyond_rows(self, shape: Shape | None) -> Shape | None:
        return None if shape is None else shape[self._first_axis :]

    def _length(self, sequence: SequenceSpec, shapes: Mapping[str, Shape]) -> int:
        lengths = {name: shapes[name][axis] for name, axis in sequence.lengths.items() if name in shapes}
        length, *others = set(lengths.values())
        if others:
            raise InvalidRequest(f"inputs differ in the length of their sequence: {lengths}")
        if not length:
            raise InvalidRequest(f"expected a sequence of at least 1, received {lengths}")
        if sequence.longest is not None and length > sequence.longest:
            raise InvalidRequest(f"expected a sequence of at most {sequence.longest}, received {lengths}")
        return length

    def _padded(self, name: str, shape: Shape, length: int) -> Shape:
        assert self._sequence is not None
        axis = self._sequence.inputs.get(name)
        return tuple(length if place == axis else size for place, size in enumerate(shape) if place)
