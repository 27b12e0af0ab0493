"""Anybody's own `nn.Module`: found by its factory's name, loaded with its weights."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fovea.contract.errors import ExportFailed
from fovea.export.reference import first_line

_EXPECTED_WEIGHTS = "expected a state dict as torch.save writes it, or a .safetensors file"
_NAMED_KEYS = 3


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
