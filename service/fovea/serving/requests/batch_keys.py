"""Which requests may share a batch: those of one shape, and those whose lengths fall into the same buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fovea.contract.errors import InvalidRequest
from fovea.contract.lengths import LengthSpec, input_axes, masks_of
from fovea.contract.model_card import ModelCard
from fovea.serving.engines.queued_request import BatchKey

Shape = tuple[int, ...]


class BatchKeys:
    """Tells a request's key from its shapes, by input name."""

    def __init__(self, card: ModelCard) -> None:
        self._lengths = [(name, length, length.axes) for name, length in card.lengths.items()]
        masks = masks_of(card.lengths)
        self.optional = masks.union(card.optional_inputs)
        """Inputs that a request may leave out; masks, since the server makes them."""
        axes = input_axes(card.lengths)
        self._axes = [(spec.name, axes.get(spec.name, {})) for spec in card.inputs if spec.name not in masks]
        self._first_axis = 1 if card.batched else 0

    def of(self, shapes: Mapping[str, Shape], *, maps: bool) -> BatchKey:
        """The key; InvalidRequest where inputs differ in a length, or where one is empty or too long."""
        if not self._lengths:
            return BatchKey(tuple([self._beyond_rows(shapes.get(name)) for name, _ in self._axes]), maps)
        buckets, shared = [], []
        for name, length, axes in self._lengths:
            sent = {tensor: shapes[tensor][axis] for tensor, axis in axes.items() if tensor in shapes}
            size = _size(name, length, sent)
            buckets.append(length.bucket(size))
            shared.append(buckets[-1] if length.padded else size)
        own = tuple([_padded(shapes[name], axes, shared) for name, axes in self._axes])
        return BatchKey(own, maps, tuple(buckets))

    def _beyond_rows(self, shape: Shape | None) -> Shape | None:
        return None if shape is None else shape[self._first_axis :]


def _size(name: str, length: LengthSpec, sent: Mapping[str, int]) -> int:
    """A request's size in this length, of what its inputs have there."""
    size, *others = set(sent.values())
    if others:
        raise InvalidRequest(f"length '{name}': inputs differ in it: {sent}")
    if not size:
        raise InvalidRequest(f"length '{name}': expected at least 1, received {sent}")
    if length.longest is not None and size > length.longest:
        raise InvalidRequest(f"length '{name}': expected at most {length.longest}, received {sent}")
    return size


def _padded(shape: Shape, axes: Mapping[int, int], shared: Sequence[int]) -> Shape:
    """Beyond the rows, as all are that share its batch."""
    return tuple([shared[axes[axis]] if axis in axes else size for axis, size in enumerate(shape) if axis])
