"""Which axes of a traced graph are as long as one of the lengths that go in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import onnx

from fovea.contract.errors import ExportFailed

AxisNames = Mapping[str, Mapping[int, str]]
"""Tensor -> its axes that are lengths -> the name of each one's length."""


def length_axes(inputs: Iterable[onnx.ValueInfoProto], answers: Mapping[str, onnx.ValueInfoProto]) -> AxisNames:
    """Of outputs and maps, for those that have such axes; none where no input has a length.

    ExportFailed where an answer's size is neither fixed nor the batch nor a length: padding could not be cut off it.
    """
    names = {size: None for value in inputs for size in _sizes(value)[1:] if size}
    found = {name: _axes(name, value, names) for name, value in answers.items()} if names else {}
    return {name: axes for name, axes in found.items() if axes}


def _axes(name: str, value: onnx.ValueInfoProto, lengths: Collection[str]) -> dict[int, str]:
    axes = {axis: size for axis, size in enumerate(_sizes(value)) if axis and size}
    for axis, size in axes.items():
        if size not in lengths:
            known = " or ".join(lengths)
            raise ExportFailed(f"axis {axis} of {name} is {size} long: neither fixed nor as long as {known}")
    return axes


def _sizes(value: onnx.ValueInfoProto) -> list[str]:
    """The names of its sizes; empty where they are fixed."""
    return [dim.dim_param for dim in value.type.tensor_type.shape.dim]
