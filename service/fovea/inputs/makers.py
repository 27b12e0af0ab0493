"""What makes an input of a model, row by row, of the bytes of pictures or texts."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ModelBroken
from fovea.contract.input_steps import InputSteps
from fovea.contract.lengths import LengthSpec
from fovea.inputs.lines_maker import LinesMaker
from fovea.inputs.picture_steps import picture_row
from fovea.inputs.pictures import Limits, open_picture
from fovea.inputs.text_maker import ReadFile, TextMaker

PICTURE_FORMATS = ("PNG", "JPEG")


class Maker(Protocol):
    """Makes the rows of one input from the bytes that callers send."""

    def row(self, data: bytes, limits: Limits, second: bytes | None = None) -> NDArray[Any]:
        """The row of these bytes, without the batch axis; InvalidRequest tells what is wrong with them.

        `second`: the other text, where a row is a pair of them.
        """

    def joined(self, rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Rows one below the other, short ones filled up; InvalidRequest where they may not be."""


class PictureMaker:
    """Pictures of any size, from PNG and JPEG bytes: rows of (channels, height, width)."""

    def __init__(self, steps: InputSteps) -> None:
        self._steps = steps

    def row(self, data: bytes, limits: Limits, second: bytes | None = None) -> NDArray[Any]:  # noqa: ARG002
        row: NDArray[Any] = picture_row(open_picture(BytesIO(data), PICTURE_FORMATS, limits.max_pixels), self._steps)[0]
        return row

    def joined(self, rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return rows[0][None] if len(rows) == 1 else np.stack(rows)


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
