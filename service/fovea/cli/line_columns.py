"""Attention over the lines of texts, such as the facts that a memory network reads: a column for each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.client import ModelInfo
from fovea.inputs.lines_maker import lines_of


def lines_along(model: ModelInfo, texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Map -> the lines that its last axis weighs, joined where several texts have one for each weight."""
    steps = model.json("input_steps") or {}
    lines = {name: lines_of(text) for name, text in texts.items() if _has_lines(steps.get(name))}
    found: dict[str, list[str]] = {}
    for length in (model.json("lengths") or {}).values():
        parts = [lines[name] for name, axis in length["inputs"].items() if name in lines and axis == 1]
        joined = [
            ": ".join(part) for part in zip(*parts, strict=False)
        ]  # the server refuses different numbers of lines
        found |= {output: joined for output, axes in length["outputs"].items() if parts and axes == [2]}
    return found


def columns_of(weights: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """(lines, layers) of maps of one row, (1, lines) each."""
    return np.stack([np.asarray(one, np.float64)[0] for one in weights], axis=1)


def _has_lines(steps: Sequence[Mapping[str, Any]] | None) -> bool:
    return steps is not None and steps[0].get("most_lines") is not None
