"""The inputs of a module, as its owner describes them in words: `image=1x3x224x224`, `tokens=1xT:int64`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from fovea.contract.datatypes import DATATYPES, Kind
from fovea.contract.errors import ExportFailed
from fovea.contract.sequence import SequenceSpec
from fovea.contract.validation import first_problem
from fovea.raw_tensors import NUMPY_DTYPE

_MADE_UP = (Kind.TRUTH, Kind.WHOLE)
_INPUT = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)=(?P<shape>\d+(?:x(?:\d+|T))*)(?::(?P<dtype>\w+))?")
_DTYPES = ("float32", *(NUMPY_DTYPE[name].name for name, facts in DATATYPES.items() if facts.kind in _MADE_UP))
LENGTH = -1
"""In the shape of a row: the axis that runs along a sequence."""


@dataclass(frozen=True)
class InputSpec:
    """One input: name, shape of one row (the batch axis is not part of it; -1 is a sequence's length), numpy dtype."""

    name: str
    row_shape: tuple[int, ...]
    dtype: str = "float32"


def parse_input(text: str) -> InputSpec:
    """`image=1x3x224x224` or `tokens=1xT:int64`: the first number is the batch axis, T a sequence's length."""
    match = _INPUT.fullmatch(text)
    if match is None:
        raise ExportFailed(f"an input is given as name=1x3x224x224, or name=1xT:int64, not {text!r}")
    dtype = match["dtype"] or "float32"
    if dtype not in _DTYPES:
        raise ExportFailed(f"input {match['name']}: dtype {dtype} is none of {', '.join(_DTYPES)}")
    _, *row = (LENGTH if size == "T" else int(size) for size in match["shape"].split("x"))
    if row.count(LENGTH) > 1:
        raise ExportFailed(f"input {match['name']}: a sequence runs along one axis, not {row.count(LENGTH)}")
    return InputSpec(match["name"], tuple(row), dtype)


def parse_inputs(texts: Sequence[str]) -> tuple[InputSpec, ...]:
    """All inputs, in the order of the module's arguments."""
    specs = tuple(parse_input(text) for text in texts)
    if not specs:
        raise ExportFailed("the module's inputs must be given, for example --input image=1x3x224x224")
    if len({spec.name for spec in specs}) < len(specs):
        raise ExportFailed("two inputs have the same name")
    return specs


def sequence_of(specs: Sequence[InputSpec], mask: str | None, buckets: Sequence[int]) -> SequenceSpec | None:
    """What the inputs with a T make of the module: None where there is none. ExportFailed where it cannot be."""
    axes = {spec.name: 1 + spec.row_shape.index(LENGTH) for spec in specs if LENGTH in spec.row_shape}
    if mask is not None and axes.pop(mask, None) is None:
        raise ExportFailed(f"mask {mask} is no input with a length: --input {mask}=1xT:bool")
    if not axes:
        if mask is not None or buckets:
            raise ExportFailed("a mask or buckets need an input with a length, for example --input tokens=1xT:int64")
        return None
    try:
        facts = {"inputs": axes, "mask": mask} | ({"buckets": tuple(buckets)} if buckets else {})
        return SequenceSpec.model_validate(facts)
    except ValidationError as error:
        raise ExportFailed(f"sequence: {first_problem(error).what}") from error
