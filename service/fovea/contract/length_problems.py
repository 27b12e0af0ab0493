"""Whether the lengths that are said of a model fit its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from fovea.contract.datatypes import DATATYPES, Kind
from fovea.contract.lengths import LengthSpec, NamedLengths, place_of
from fovea.contract.tensor_spec import TensorSpec


def problem_of(
    lengths: NamedLengths, inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec], maps: Iterable[TensorSpec]
) -> str | None:
    """Why a model that batches and has these tensors cannot be served so; None where it can."""
    by_name = {tensor.name: tensor for tensor in inputs}
    answers = {tensor.name: tensor for tensor in (*outputs, *maps)}
    found = chain(
        (f"{place_of(name)}: {told}" for name, one in lengths.items() for told in _own_problems(one, by_name, answers)),
        _claimed_twice(lengths),
        _filled_twice(lengths),
        (told for tensor in answers.values() for told in _silence_problems(tensor, lengths)),
    )
    return next(found, None)


def _own_problems(
    length: LengthSpec, inputs: Mapping[str, TensorSpec], answers: Mapping[str, TensorSpec]
) -> Iterator[str]:
    """Of one length; the later ones rely on what the earlier ones saw."""
    found = chain(
        (_input_problem(name, axis, inputs) for name, axis in length.inputs.items()),
        (_padding_problem(name, value, length, inputs) for name, value in length.padding.items()),
        (_output_problem(name, axes, answers) for name, axes in length.outputs.items()),
        (_mask_problem(name, length, inputs) for name in [length.mask] if name is not None),
    )
    return (problem for problem in found if problem is not None)


def _claimed_twice(lengths: NamedLengths) -> Iterator[str]:
    """An axis is of one length, and so is a mask."""
    owners: dict[str, str] = {}
    for name, length in lengths.items():
        for axis in _claimed(length):
            if owners.setdefault(axis, name) != name:
                yield f"{place_of(name)}: {axis} is of the length '{owners[axis]}' already"


def _claimed(length: LengthSpec) -> Iterator[str]:
    yield from (f"inputs: axis {axis} of '{tensor}'" for tensor, axis in length.axes.items())
    yield from (f"outputs: axis {axis} of '{tensor}'" for tensor, axes in length.outputs.items() for axis in axes)


def _filled_twice(lengths: NamedLengths) -> Iterator[str]:
    values: dict[str, float] = {}
    for name, length in lengths.items():
        for tensor, value in length.padding.items():
            if values.setdefault(tensor, value) != value:
                yield f"{place_of(name)}: padding: '{tensor}' is filled up with {values[tensor]:g} already"


def _input_problem(name: str, axis: int, inputs: Mapping[str, TensorSpec]) -> str | None:
    if name not in inputs:
        return f"inputs: unknown input '{name}', the model has {list(inputs)}"
    if inputs[name].datatype == "BYTES":
        return f"inputs: '{name}' is BYTES, which has no padding"
    return _axis_problem(f"inputs: '{name}'", axis, inputs[name].shape)


def _axis_problem(what: str, axis: int, shape: tuple[int, ...]) -> str | None:
    if axis >= len(shape):
        return f"{what} has shape {list(shape)}, and no axis {axis}"
    if shape[axis] != -1:
        return f"{what} has shape {list(shape)}: axis {axis} must be dynamic (-1) to be a length"
    return None


def _padding_problem(name: str, value: float, length: LengthSpec, inputs: Mapping[str, TensorSpec]) -> str | None:
    if name not in length.inputs:
        return f"padding: '{name}' is none of the length's inputs, {list(length.inputs)}"
    datatype = inputs[name].datatype
    facts = DATATYPES[datatype]
    assert facts.range is not None  # texts have no length
    least, most = facts.range
    if least <= value <= most and (facts.kind is Kind.FLOAT or value == int(value)):
        return None
    return f"padding: {value:g} does not fit '{name}', which is {datatype} ({least} to {most})"


def _output_problem(name: str, axes: tuple[int, ...], answers: Mapping[str, TensorSpec]) -> str | None:
    if name not in answers:
        return f"outputs: unknown output or map '{name}', the model has {list(answers)}"
    found = (_axis_problem(f"outputs: '{name}'", axis, answers[name].shape) for axis in axes)
    return next((problem for problem in found if problem is not None), None)


def _silence_problems(tensor: TensorSpec, lengths: NamedLengths) -> Iterator[str]:
    """An axis of unknown size may be a length: nobody should get padding for an answer because nothing was said."""
    known = {axis for length in lengths.values() for axis in length.outputs.get(tensor.name, ())}
    if all(size != -1 or axis in known for axis, size in enumerate(tensor.shape) if axis):
        return
    for name, length in lengths.items():
        if tensor.name not in length.outputs:
            what = f"which axes of '{tensor.name}', shape {list(tensor.shape)}, are of this length"
            yield f"{place_of(name)}: outputs: say {what}; [] where none is"


def _mask_problem(name: str, length: LengthSpec, inputs: Mapping[str, TensorSpec]) -> str | None:
    if name not in inputs:
        return f"mask: unknown input '{name}', the model has {list(inputs)}"
    if name in length.inputs:
        return f"mask: '{name}' is listed among the length's inputs; name it as the mask only"
    mask = inputs[name]
    if mask.datatype == "BYTES" or mask.shape != (-1, -1):
        return f"mask: '{name}' is {mask.datatype}{list(mask.shape)}; expected numbers or BOOL of shape [-1, -1]"
    return None
