"""Which axes of a traced graph are as long as the sequence that goes in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx

from fovea.contract.errors import ExportFailed

LENGTH = "length"
"""Name of the axes that are as long as a sequence."""


def length_axes(
    inputs: Iterable[onnx.ValueInfoProto], answers: Mapping[str, onnx.ValueInfoProto]
) -> dict[str, tuple[int, ...]]:
    """Output or map -> its axes of that length, for those that have such; none where no input has a length.

    ExportFailed where an answer's size is neither fixed nor the batch nor the length: padding could not be cut off it.
    """
    if not any(LENGTH in _sizes(value) for value in inputs):
        return {}
    found = {name: _axes(name, value) for name, value in answers.items()}
    return {name: axes for name, axes in found.items() if axes}


def _axes(name: str, value: onnx.ValueInfoProto) -> tuple[int, ...]:
    sizes = _sizes(value)
    for axis, size in enumerate(sizes):
        if axis and size not in ("", LENGTH):
            raise ExportFailed(f"axis {axis} of {name} is {size} long: neither fixed nor the sequence's length")
    return tuple(axis for axis, size in enumerate(sizes) if size == LENGTH)


def _sizes(value: onnx.ValueInfoProto) -> list[str]:
    """The names of its sizes; empty where they are fixed."""
    return [dim.dim_param for dim in value.type.tensor_type.shape.dim]
