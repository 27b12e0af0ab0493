"""What makes an input of a model, row by row, of the bytes of pictures or texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest, ModelBroken
from fovea.contract.input_steps import InputSteps
from fovea.contract.lengths import LengthSpec
from fovea.contract.step_kinds import UseVocabulary
from fovea.inputs.lines_maker import LinesMaker
from fovea.inputs.picture_steps import picture_row
from fovea.inputs.pictures import MAX_PIXELS, open_picture
from fovea.inputs.text_steps import decode_text, tokens_of
from fovea.inputs.vocabulary import Vocabulary

PICTURE_FORMATS = ("PNG", "JPEG")
ReadFile = Callable[[str], str]
"""Gives the text of a file that a step names; ModelBroken where it cannot be had."""


@dataclass(frozen=True)
class Limits:
    """What one element may cost at most."""

    max_pixels: int = MAX_PIXELS


class Maker(Protocol):
    """Makes the rows of one input from the bytes that callers send."""

    def row(self, data: bytes, limits: Limits) -> NDArray[Any]:
        """The row of these bytes, without the batch axis; InvalidRequest tells what is wrong with them."""

    def joined(self, rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Rows one below the other, short ones filled up; InvalidRequest where they may not be."""


class PictureMaker:
    """Pictures of any size, from PNG and JPEG bytes: rows of (channels, height, width)."""

    def __init__(self, steps: InputSteps) -> None:
        self._steps = steps

    def row(self, data: bytes, limits: Limits) -> NDArray[Any]:
        row: NDArray[Any] = picture_row(open_picture(BytesIO(data), PICTURE_FORMATS, limits.max_pixels), self._steps)[0]
        return row

    def joined(self, rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return rows[0][None] if len(rows) == 1 else np.stack(rows)


class TextMaker:
    """Texts in UTF-8: rows of token ids, each as long as its text."""

    def __init__(self, steps: InputSteps, read_file: ReadFile) -> None:
        self._steps = steps
        (step,) = steps.of(UseVocabulary)
        self.vocabulary = Vocabulary(step, read_file(step.file))

    def row(self, data: bytes, limits: Limits = Limits()) -> NDArray[Any]:  # noqa: ARG002 (a text's limit is fixed)
        """Token ids, (T,) of int64."""
        return self.vocabulary.row(tokens_of(decode_text(data), self._steps))

    def joined(self, rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """(N, longest T), short ones filled up with the pad token."""
        longest, pad = max(map(len, rows)), self.vocabulary.pad
        if pad is None and min(map(len, rows)) < longest:
            raise InvalidRequest(
                "texts of different lengths in one request: the model has no token that fills up short ones"
            )
        filled = np.full((len(rows), longest), pad or 0, np.int64)
        for target, row in zip(filled, rows, strict=True):
            target[: len(row)] = row
        return filled


def data_mask(rows: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """(N, longest T): true where a row has data, false where it is filled up."""
    lengths = np.array([len(row) for row in rows])
    mask: NDArray[np.bool_] = np.arange(lengths.max()) < lengths[:, None]
    return mask


def require_same_filling(name: str, length: LengthSpec, maker: Maker) -> None:
    """ModelBroken where texts of one request would be filled up with another number than requests of one batch."""
    filling = length.padding.get(name, 0)
    pad = maker.vocabulary.pad if isinstance(maker, TextMaker | LinesMaker) else None
    if pad is not None and pad != filling:
        raise ModelBroken(f"input '{name}' is filled up with {filling:g}, and its pad token has the id {pad}")


def maker_of(steps: InputSteps, read_file: ReadFile) -> Maker:
    """What does these steps. ModelBroken where a file that they name does not do."""
    if steps.kind == "picture":
        return PictureMaker(steps)
    text = TextMaker(steps, read_file)
    return text if steps.most_lines is None else LinesMaker(text, steps.most_lines)
