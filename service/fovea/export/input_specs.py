"""The inputs of a module, as its owner describes them in words: `image=1x3x224x224`, `tokens=1xT:int64`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from fovea.contract.datatypes import DATATYPES, Kind
from fovea.contract.errors import ExportFailed
from fovea.contract.lengths import LengthSpec
from fovea.contract.validation import first_problem
from fovea.raw_tensors import NUMPY_DTYPE

_LENGTH = r"[A-Z][A-Za-wyz0-9_]{0,63}"
"""A name without the x that separates sizes."""
_INPUT = re.compile(rf"(?P<name>[A-Za-z_][\w.-]*)=(?P<shape>\d+(?:x(?:\d+|{_LENGTH}))*)(?::(?P<dtype>\w+))?")
_BUCKETS = re.compile(rf"(?:(?P<length>{_LENGTH})=)?(?P<sizes>[1-9]\d*(?:,[1-9]\d*)*)")
_MADE_UP = (Kind.BOOLEAN, Kind.INTEGER)
_DTYPES = ("float32", *(NUMPY_DTYPE[name].name for name, facts in DATATYPES.items() if facts.kind in _MADE_UP))


@dataclass(frozen=True)
class InputSpec:
    """One input: name, shape of one row (the batch axis is not part of it; a word is a length's name), numpy dtype."""

    name: str
    row_shape: tuple[int | str, ...]
    dtype: str = "float32"

    @property
    def lengths(self) -> list[str]:
        """The names in its shape, in order."""
        return [size for size in self.row_shape if isinstance(size, str)]


def parse_input(text: str) -> InputSpec:
    """`image=1x3x224x224` or `tokens=1xT:int64`: the first number is the batch axis, a word such as T a length."""
    match = _INPUT.fullmatch(text)
    if match is None:
        raise ExportFailed(
            "an input is given as name=1x3x224x224, or name=1xT:int64, where a length's name begins with a capital "
            f"letter and has no x, not {text!r}"
        )
    dtype = match["dtype"] or "float32"
    if dtype not in _DTYPES:
        raise ExportFailed(f"input {match['name']}: dtype {dtype} is none of {', '.join(_DTYPES)}")
    _, *row = (int(size) if size.isdecimal() else size for size in match["shape"].split("x"))
    spec = InputSpec(match["name"], tuple(row), dtype)
    for length in spec.lengths:
        if (count := spec.lengths.count(length)) > 1:
            raise ExportFailed(f"input {spec.name}: length {length} runs along one axis, not {count}")
    return spec


def parse_inputs(texts: Sequence[str]) -> tuple[InputSpec, ...]:
    """All inputs, in the order of the module's arguments."""
    specs = tuple(parse_input(text) for text in texts)
    if not specs:
        raise ExportFailed("the module's inputs must be given, for example --input image=1x3x224x224")
    if len({spec.name for spec in specs}) < len(specs):
        raise ExportFailed("two inputs have the same name")
    return specs


def lengths_of(specs: Sequence[InputSpec], masks: Sequence[str], buckets: Sequence[str]) -> dict[str, LengthSpec]:
    """The lengths that the inputs name, as far as they are known before the module is tried.

    `buckets`: `16,32` where there is one length, `T=16,32` for any of them. ExportFailed where they cannot be.
    """
    names = list(dict.fromkeys(name for spec in specs for name in spec.lengths))
    mask_of, wanted = _masks(specs, masks), _buckets(names, buckets)
    return {name: _length(name, specs, mask_of, wanted.get(name)) for name in names}


def _length(
    name: str, specs: Sequence[InputSpec], masks: Mapping[str, str], buckets: tuple[int, ...] | None
) -> LengthSpec:
    mask = masks.get(name)
    axes = {spec.name: 1 + spec.row_shape.index(name) for spec in specs if name in spec.row_shape and spec.name != mask}
    facts = {"inputs": axes, "mask": mask} | ({"buckets": buckets} if buckets else {})
    try:
        return LengthSpec.model_validate(facts)
    except ValidationError as error:
        raise ExportFailed(f"length {name}: {first_problem(error).what}") from error


def _masks(specs: Sequence[InputSpec], masks: Sequence[str]) -> dict[str, str]:
    """Length -> its mask."""
    shapes, found = {spec.name: spec.row_shape for spec in specs}, dict[str, str]()
    for mask in masks:
        match shapes.get(mask):
            case (str(length),) if length not in found:
                found[length] = mask
            case (str(length),):
                raise ExportFailed(f"masks {found[length]} and {mask} are both of length {length}, which has one")
            case _:
                raise ExportFailed(f"mask {mask} is no input with a length: --input {mask}=1xT:bool")
    return found


def _buckets(names: Sequence[str], texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Length -> its buckets."""
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        match = _BUCKETS.fullmatch(text)
        if match is None:
            raise ExportFailed(
                f"buckets are given as 16,32 or, where there are several lengths, as T=16,32, not {text!r}"
            )
        name = match["length"] or (names[0] if len(names) == 1 else "")
        if name not in names:
            known = f"one of the lengths {', '.join(names)}" if names else "an input with a length, as tokens=1xT:int64"
            raise ExportFailed(f"buckets {text} need {known}")
        found[name] = tuple(map(int, match["sizes"].split(",")))
    return found
