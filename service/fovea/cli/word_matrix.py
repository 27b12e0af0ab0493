"""Attention weights as a matrix with words beside its rows and above its columns.

Between the words of a text, a row is a word that attends and a column one that is attended to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fovea.cli.heat_maps import coloured
from fovea.contract.errors import InvalidRequest, Unsupported

_CELL, _GAP, _TEXT = 22, 6, 14
"""Pixels: side of a cell, between words and cells, height of a letter."""
_MOST_LETTERS = 56
_MOST_WORDS = 128
"""A side of 3,000 pixels."""
_PAPER, _INK = (255, 255, 255), (0, 0, 0)


def matrix_of(values: NDArray[Any], head: int | None) -> NDArray[np.float64]:
    """(words, words) of a map of one row: (heads, words, words), of which `head` counts from 0 (None: their mean)."""
    exact = np.asarray(values, np.float64)
    if exact.ndim not in (2, 3) or exact.shape[-1] != exact.shape[-2]:
        raise Unsupported(f"a map of shape {exact.shape} a row is none between the words of a text")
    heads = exact[None] if exact.ndim == 2 else exact
    if head is None:
        return np.asarray(heads.mean(axis=0))
    if head >= len(heads):
        raise InvalidRequest(f"--head {head}: the layer has {len(heads)}, counted from 0")
    return np.asarray(heads[head])


def words_of(text: str, tokens: Sequence[bytes], offsets: NDArray[np.int64]) -> list[str]:
    """What to write beside the rows: a token's characters in the text; the token itself where it was added."""
    spans = [(int(first), int(last)) for first, last in offsets]
    return [
        text[first:last] or token.decode(errors="replace") for token, (first, last) in zip(tokens, spans, strict=True)
    ]


def drawn(matrix: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str]) -> Image.Image:
    """The matrix, brightest where most is attended, with a word left of each row and, upright, above each column."""
    if max(len(rows), len(columns)) > _MOST_WORDS:
        raise Unsupported(f"a matrix of {len(rows)} rows is too large to be drawn: at most {_MOST_WORDS}")
    left, top = _words(rows, from_left=False), _words(columns, from_left=True).transpose(Image.Transpose.ROTATE_90)
    size = (_CELL * len(columns), _CELL * len(rows))
    picture = Image.new("RGB", (left.width + size[0] + _GAP, top.height + size[1] + _GAP), _PAPER)
    picture.paste(left, (0, top.height))
    picture.paste(top, (left.width, 0))
    cells = coloured(matrix / max(matrix.max(), 1e-12)).resize(size, Image.Resampling.NEAREST)
    picture.paste(cells, (left.width, top.height))
    return picture


def _words(words: Sequence[str], *, from_left: bool) -> Image.Image:
    """The words one below the other, a cell high each, and as wide as the longest needs."""
    font = ImageFont.load_default(_TEXT)
    shown = [word if len(word) <= _MOST_LETTERS else f"{word[: _MOST_LETTERS - 1]}…" for word in words]
    width = 2 * _GAP + max(int(font.getlength(word)) for word in shown)
    column = Image.new("RGB", (width, _CELL * len(words)), _PAPER)
    pen = ImageDraw.Draw(column)
    for row, word in enumerate(shown):
        place = (_GAP if from_left else width - _GAP, row * _CELL + _CELL // 2)
        pen.text(place, word, _INK, font, anchor="lm" if from_left else "rm")
    return column
