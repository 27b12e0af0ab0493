"""The best classes of an output, as texts: the protocol's `classification` parameter."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest

_MOST_CLASSES = 65_536
"""Most classes in an answer: each is a text, at a microsecond in which no other thread runs."""


def best_classes(scores: NDArray[Any], top: int, labels: Sequence[str], *, by_row: bool) -> NDArray[Any]:
    """`"<score>:<index>[:<label>]"`, best first, (rows, classes) -> (rows, top) of bytes; not `by_row`: of all numbers.

    Of equal scores the lower index comes first; what is no number comes last. InvalidRequest for too many texts.
    """
    rows = scores.reshape(len(scores), prod(scores.shape[1:])) if by_row else scores.reshape(1, -1)
    _check_count(len(rows), min(top, rows.shape[1]))
    texts = [[_text(row[index], int(index), labels) for index in best_indices(row, top)] for row in rows]
    array = np.array(texts, dtype=np.object_)
    return array if by_row else array[0]


def _check_count(rows: int, classes: int) -> None:
    if rows * classes > _MOST_CLASSES:
        raise InvalidRequest(
            f"classification: expected at most {_MOST_CLASSES} classes in all, received {rows} rows of {classes}"
        )


def best_indices(scores: NDArray[Any], top: int) -> NDArray[np.intp]:
    """The indices of the `top` highest scores, best first; only what may be among them is sorted."""
    keys = -scores.astype(np.float64)
    if top >= len(keys):
        return np.argsort(keys, kind="stable")
    last = np.partition(keys, top - 1)[top - 1]
    candidates = np.flatnonzero(~(keys > last))  # whatever ties with the last, and all where it is no number
    return candidates[np.argsort(keys[candidates], kind="stable")[:top]]


def _text(score: np.generic, index: int, labels: Sequence[str]) -> bytes:
    label = f":{labels[index]}" if index < len(labels) else ""
    told = str(score) if score.dtype.kind in "iu" else f"{float(score):f}"
    return f"{told}:{index}{label}".encode()
