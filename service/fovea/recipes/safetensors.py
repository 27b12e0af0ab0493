"""Weights out of a file of the safetensors format: a length, a JSON header of that length, then the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fovea.contract.errors import Misconfigured

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "I64": np.dtype("<i8")}
_LENGTH_BYTES = 8


def read_weights(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, each a copy. Misconfigured where the file is damaged, or has an unknown kind of number."""
    try:
        content = memoryview(path.read_bytes())
        start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
        header = json.loads(bytes(content[_LENGTH_BYTES:start]))
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
        header.pop("__metadata__", None)
        return {name: _tensor(content[start:], **facts) for name, facts in header.items()}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        told = f"{path} cannot be read as safetensors; delete its folder to fetch it again: {error}"
        raise Misconfigured(told) from error


def _tensor(data: memoryview, *, dtype: str, shape: list[int], data_offsets: tuple[int, int]) -> Tensor:
    first, last = data_offsets
    if not 0 <= first <= last <= len(data) or min(shape, default=0) < 0:
        raise ValueError(f"a tensor of the shape {shape} at {first} to {last} of {len(data)} bytes")
    return torch.from_numpy(np.frombuffer(data[first:last], _DTYPES[dtype]).reshape(shape).copy())
