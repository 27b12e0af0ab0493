"""Anybody's own `nn.Module`: found by its factory's name, loaded with its weights, fed with rows of a given shape."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn

from fovea.contract.errors import ExportFailed
from fovea.contract.sequence import SequenceSpec
from fovea.contract.validation import first_problem
from fovea.export.reference import first_line
from fovea.runtime.datatypes import Arrays

_INPUT = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)=(?P<shape>\d+(?:x(?:\d+|T))*)(?::(?P<dtype>\w+))?")
_DTYPES = ("float32", "int64", "int32", "bool", "uint8", "int8")
_EXPECTED_WEIGHTS = "expected a state dict as torch.save writes it, or a .safetensors file"
_NAMED_KEYS = 3
_LENGTH = -1
_SHORTEST, _LONGEST = 3, 64
"""Of the sequences that are made up; models take few tokens or many, and hardly one of them less than 64."""


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
    _, *row = (_LENGTH if size == "T" else int(size) for size in match["shape"].split("x"))
    if row.count(_LENGTH) > 1:
        raise ExportFailed(f"input {match['name']}: a sequence runs along one axis, not {row.count(_LENGTH)}")
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
    axes = {spec.name: 1 + spec.row_shape.index(_LENGTH) for spec in specs if _LENGTH in spec.row_shape}
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


def random_rows(specs: Sequence[InputSpec], sequence: SequenceSpec | None, rows: int) -> Arrays:
    """Seeded rows: floats are normal, whole numbers 0 or 1, which every embedding has.

    Each number of rows has its own length, and a mask that closes each row a little earlier than the one before.
    """
    generator = np.random.default_rng(rows)
    longest = max(_SHORTEST, min(sequence.buckets[-1], _LONGEST)) if sequence else _SHORTEST
    length = _SHORTEST + 7 * rows % (longest - _SHORTEST + 1)
    made = {}
    for spec in specs:
        shape = [length if size == _LENGTH else size for size in spec.row_shape]
        made[spec.name] = _random(generator, (rows, *shape), spec.dtype)
    if sequence is not None and sequence.mask is not None:
        open_until = length - np.arange(rows) % length
        made[sequence.mask] = (np.arange(length) < open_until[:, None]).astype(made[sequence.mask].dtype)
    return made


def _random(generator: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    if dtype == "float32":
        return generator.standard_normal(shape, dtype=np.float32)
    return generator.integers(0, 2, shape).astype(dtype)


def load_module(target: str, weights: Path | None) -> nn.Module:
    """What `package.module:factory` makes, in evaluation mode, with the weights of a file where one is given.

    The current folder counts among the places where Python looks. ExportFailed tells in a line what is wrong.
    """
    factory = load_factory(target)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = factory()
    except Exception as error:  # the factory is the user's own code
        raise ExportFailed(f"{target} fails: {first_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise ExportFailed(f"{target} gives a {type(module).__name__}, not a torch.nn.Module")
    if weights is not None:
        _load_state(module, read_weights(weights), weights)
    return module.eval()


def load_factory(target: str) -> Any:
    """The callable named `package.module:factory`."""
    module_name, separator, attribute = target.partition(":")
    if not separator or not module_name or not attribute:
        raise ExportFailed(f"a module is named package.module:factory, not {target!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module_name), attribute, None)
    except Exception as error:  # the import runs the user's own code
        raise ExportFailed(f"{module_name} cannot be imported: {first_line(error)}") from error
    if not callable(found):
        raise ExportFailed(f"{module_name} has no callable {attribute}")
    return found


def read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    """The state dict in a file of `torch.save` or safetensors; never runs code from the file."""
    if not path.is_file():
        raise ExportFailed(f"no weights at {path}")
    try:
        content = _read_safetensors(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except ImportError as error:
        raise ExportFailed(f"{path.name} needs the package safetensors") from error
    except OSError as error:
        raise ExportFailed(f"{path.name} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # torch and pickle raise a dozen kinds for another file, and their words tell little
        raise ExportFailed(f"{path.name} cannot be read as weights: {_EXPECTED_WEIGHTS}") from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ExportFailed(f"{path.name} holds no state dict: {_EXPECTED_WEIGHTS}")
    return state


def _read_safetensors(path: Path) -> Any:
    return importlib.import_module("safetensors.torch").load_file(path)


def _load_state(module: nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    try:
        result = module.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:  # shapes differ
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ExportFailed(f"{path.name} does not fit the module: {lines[-1]}") from error
    wrong = {"it lacks": result.missing_keys, "the module has no": result.unexpected_keys}
    problems = [f"{what} {_some(keys)}" for what, keys in wrong.items() if keys]
    if problems:
        raise ExportFailed(f"{path.name} does not fit the module: {'; '.join(problems)}")


def _some(keys: Sequence[str]) -> str:
    more = len(keys) - _NAMED_KEYS
    return ", ".join(keys[:_NAMED_KEYS]) + (f" and {more} more" if more > 0 else "")
