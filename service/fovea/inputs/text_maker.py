"""What makes token ids of texts, by the steps of a card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest
from fovea.contract.input_steps import InputSteps
from fovea.contract.step_kinds import Split, UseTokenizer, UseVocabulary
from fovea.inputs.pictures import Limits
from fovea.inputs.spans import Piece, traced
from fovea.inputs.split_text import SplitText
from fovea.inputs.text_steps import changed, decode_text, origins_of
from fovea.inputs.tokenizer import Tokenizer

ReadFile = Callable[[str], str]
"""Gives the text of a file that a step names; ModelBroken where it cannot be had."""
NO_LIMITS = Limits()


class TextMaker:
    """Texts in UTF-8: rows of token ids, each as long as its text."""

    def __init__(self, steps: InputSteps, read_file: ReadFile) -> None:
        self._steps = steps
        self.vocabulary = _vocabulary(steps, read_file)

    def row(self, data: bytes, limits: Limits = NO_LIMITS, second: bytes | None = None) -> NDArray[np.int64]:  # noqa: ARG002
        """Token ids, (T,); (T, 2) with the types of the tokens, where the steps make those too.

        `second`: the other text, where a row is a pair of them.
        """
        return self.vocabulary.row(*self._changed(data, second))

    def pieces(self, data: bytes, second: bytes | None = None) -> list[Piece]:
        """The tokens of a row as texts, each with its place in its own text as the caller sent it."""
        sent = [decode_text(one) for one in (data, second) if one is not None]
        sources = [origins_of(text, self._steps) for text in sent]
        found = self.vocabulary.pieces(*self._changed(data, second))
        return [piece._replace(span=traced([piece.span], sources[piece.text])[0]) for piece in found]

    def joined(self, rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """(N, longest T), short ones filled up with the pad token; (N, longest T, 2) with types."""
        longest, pad = max(map(len, rows)), self.vocabulary.pad
        if pad is None and min(map(len, rows)) < longest:
            raise InvalidRequest(
                "texts of different lengths in one request: the model has no token that fills up short ones"
            )
        filled = np.zeros((len(rows), longest, *rows[0].shape[1:]), np.int64)
        ids = filled if filled.ndim == 2 else filled[..., 0]
        ids[...] = pad or 0
        for target, row in zip(filled, rows, strict=True):
            target[: len(row)] = row
        return filled

    def _changed(self, data: bytes, second: bytes | None) -> tuple[str, str | None]:
        text = changed(decode_text(data), self._steps)
        return text, None if second is None else changed(decode_text(second), self._steps)


def _vocabulary(steps: InputSteps, read_file: ReadFile) -> SplitText | Tokenizer:
    last = steps.root[-1]
    if isinstance(last, UseTokenizer):
        return Tokenizer(last, read_file(last.file))
    (splitting,) = steps.of(Split)
    (step,) = steps.of(UseVocabulary)
    return SplitText(splitting, step, read_file(step.file))


def data_mask(rows: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """(N, longest T): true where a row has data, false where it is filled up."""
    lengths = np.array([len(row) for row in rows])
    mask: NDArray[np.bool_] = np.arange(lengths.max()) < lengths[:, None]
    return mask
