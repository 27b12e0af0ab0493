"""The tokens that became of a caller's texts, as outputs beside attention maps, along whose axes they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.model_card import MAP_PREFIX, ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.inputs.spans import Piece

TOKENS, OFFSETS = f"{MAP_PREFIX}tokens", f"{MAP_PREFIX}offsets"
SPECS = (
    TensorSpec(name=TOKENS, datatype="BYTES", shape=(-1, -1)),
    TensorSpec(name=OFFSETS, datatype="INT64", shape=(-1, -1, 2)),
)


def token_outputs(card: ModelCard) -> Mapping[str, TensorSpec]:
    """Of a model with maps and one input for texts, unless a layer has such a name: (rows, longest T), and for each of
    these tokens its first character in its text and the one behind its last."""
    offered = bool(card.maps) and text_input(card) is not None and not {TOKENS, OFFSETS} & {*card.maps}
    return {spec.name: spec for spec in SPECS} if offered else {}


def text_input(card: ModelCard) -> str | None:
    """The input that takes texts of one line of tokens; None where that is not exactly one, beside no others."""
    found = {name: steps.most_lines for name, steps in card.steps_by_input.items() if steps.kind == "text"}
    return next(iter(found)) if list(found.values()) == [None] else None


def token_arrays(rows: Sequence[Sequence[Piece]]) -> dict[str, NDArray[Any]]:
    """Both outputs. Where a row is filled up there is no token: an empty one, at (0, 0)."""
    longest = max(map(len, rows))
    tokens = np.full((len(rows), longest), b"", np.object_)
    offsets = np.zeros((len(rows), longest, 2), np.int64)
    for row, pieces in enumerate(rows):
        tokens[row, : len(pieces)] = [piece.token.encode() for piece in pieces]
        offsets[row, : len(pieces)] = [piece.span for piece in pieces]
    return {TOKENS: tokens, OFFSETS: offsets}
