"""What `fovea infer` sends: a picture's file or a text, as the model takes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from fovea.cli.picture_files import read_picture
from fovea.client import ModelInfo
from fovea.contract.errors import InvalidRequest, Unsupported
from fovea.contract.input_steps import InputSteps, Preprocessing
from fovea.inputs.picture_steps import picture_row

SEED = "seed"
"""What a model calls the input that it draws by."""


@dataclass(frozen=True, eq=False)
class InferInput:
    """One row of a model's input."""

    name: str
    array: NDArray[Any]
    picture: Image.Image | None = None
    """What it was made of, if it was a picture."""
    text: str = ""
    """The same, if it was a text."""


def infer_input(model: ModelInfo, what: str) -> InferInput:
    """A text goes to the server as it is, which has the vocabulary; of a picture the tensor is made here.

    InvalidRequest where there is no such file, Unsupported where the model takes neither.
    """
    text = model.json("text_input")
    if text:
        return InferInput(text["name"], np.array([what.encode()], np.object_), text=what)
    name, steps = _picture_steps(model)
    picture = read_picture(Path(what))
    return InferInput(name, picture_row(picture, steps), picture)


def seed_input(model: ModelInfo, seed: int) -> dict[str, NDArray[np.int64]]:
    """The seed of one row, for a model that draws by one; nothing for others."""
    takes = any(spec.name == SEED and spec.datatype == "INT64" and tuple(spec.shape) == (-1,) for spec in model.inputs)
    return {SEED: np.array([seed])} if takes else {}


def _picture_steps(model: ModelInfo) -> tuple[str, InputSteps]:
    """The input that takes pictures, and what makes it of them; older servers tell the short form alone."""
    image, listed, short = (model.json(name) for name in ("image_input", "input_steps", "preprocessing"))
    if not (image or short):
        raise Unsupported(f"model {model.name} does not say how a picture or a text becomes its input")
    try:
        if image and listed:
            return image["name"], InputSteps.model_validate(listed[image["name"]])
        return _only_input(model), Preprocessing.model_validate(short).steps
    except (ValidationError, KeyError) as error:
        raise Unsupported(f"the preprocessing of model {model.name} cannot be read: {listed or short}") from error


def _only_input(model: ModelInfo) -> str:
    if len(model.inputs) != 1:
        raise InvalidRequest(f"model {model.name} has {len(model.inputs)} inputs; a picture fills only one")
    return model.inputs[0].name
