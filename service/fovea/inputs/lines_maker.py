"""What makes token ids of texts whose lines stand by themselves, such as the facts of a story."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest
from fovea.inputs.text_steps import decode_text


def lines_of(text: str) -> list[str]:
    """Its lines, but for those of nothing but blanks."""
    return [line for line in text.split("\n") if line.strip()]


class LinesMaker:
    """Texts in UTF-8: rows (lines, T) of token ids. Short lines and short texts are filled up with the pad token."""

    def __init__(self, line: Any, most_lines: int) -> None:
        self.vocabulary = line.vocabulary
        self._line, self._most_lines = line, most_lines
        """The maker of one line by itself."""

    def row(self, data: bytes, limits: Any = None, second: bytes | None = None) -> NDArray[Any]:  # noqa: ARG002 (as Maker)
        """(lines, T) of int64."""
        lines = lines_of(decode_text(data))
        if not lines:
            raise InvalidRequest("a text without any line")
        if len(lines) > self._most_lines:
            raise InvalidRequest(f"a text of {len(lines)} lines is above the limit of {self._most_lines}")
        return self.joined([self._ids(number, line) for number, line in enumerate(lines, start=1)])

    def joined(self, rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Rows one below the other, filled up to the longest along each of their axes."""
        longest = [max(sizes) for sizes in zip(*(row.shape for row in rows), strict=True)]
        filled = np.full((len(rows), *longest), self.vocabulary.pad, np.int64)
        for target, row in zip(filled, rows, strict=True):
            target[tuple(map(slice, row.shape))] = row
        return filled

    def _ids(self, number: int, line: str) -> NDArray[Any]:
        try:
            ids: NDArray[Any] = self._line.row(line.encode())
        except InvalidRequest as error:
            raise InvalidRequest(f"line {number}: {error}") from error
        return ids
