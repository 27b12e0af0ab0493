"""Pictures in place of a tensor: which input of a model takes them, and what becomes of their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest, OutOfMemory
from fovea.contract.input_steps import InputSteps
from fovea.contract.model_card import ModelCard, TensorSpec
from fovea.inputs.picture_steps import picture_row
from fovea.inputs.pictures import open_picture

PICTURE_FORMATS = ("PNG", "JPEG")


@dataclass(frozen=True, slots=True)
class PictureInput:
    """The input that takes pictures: as BYTES, one element a row."""

    name: str
    steps: InputSteps

    def facts(self) -> dict[str, Any]:
        """What clients are told. It is no input of its own in the metadata: load generators send every one listed."""
        return {"name": self.name, "datatype": "BYTES", "shape": [-1], "formats": PICTURE_FORMATS}

    def spec(self, axes: int) -> TensorSpec:
        """What a request's pictures must look like, where it sends them with so many axes: [rows] or [rows, 1]."""
        return TensorSpec(name=self.name, datatype="BYTES", shape=(-1, 1) if axes == 2 else (-1,))

    @property
    def row_shape(self) -> tuple[int, ...]:
        """A row of the tensor that pictures become."""
        return self.steps.row_shape

    def row(self, row: int, data: bytes, max_pixels: int) -> NDArray[np.float32]:
        """A row of the tensor, as a client would have made it from the same file; InvalidRequest names the row."""
        try:
            return picture_row(open_picture(BytesIO(data), PICTURE_FORMATS, max_pixels), self.steps)
        except InvalidRequest as error:
            raise InvalidRequest(f"input '{self.name}': row {row}: {error}") from error
        except MemoryError as error:
            raise OutOfMemory(f"input '{self.name}': row {row}: too little memory for this picture") from error


def picture_input(card: ModelCard) -> PictureInput | None:
    """The input that its card says how to make of pictures; None where that is not exactly one."""
    found = [PictureInput(name, steps) for name, steps in card.steps_by_input.items() if steps.kind == "picture"]
    return found[0] if len(found) == 1 else None
