"""What `fovea infer` sends: a picture's file, a text, or several texts by name, as the model takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
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
_SHOWN = 40
"""Letters of a text in a message."""


@dataclass(frozen=True, eq=False)
class InferInput:
    """One row of each of a model's inputs that a caller fills."""

    arrays: Mapping[str, NDArray[Any]]
    picture: Image.Image | None = None
    """What it was made of, if it was a picture."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """The same, by input, if it was texts."""


def infer_input(model: ModelInfo, words: Sequence[str]) -> InferInput:
    """Texts go to the server as they are, which has the vocabulary; of a picture the tensor is made here.

    InvalidRequest where the words do not fit or a file is missing, Unsupported where the model takes neither.
    """
    names = text_inputs(model)
    if len(names) > 1:
        return _of_texts(_named_texts(model.name, names, words))
    if len(words) != 1:
        raise InvalidRequest(f"model {model.name} takes one picture or text, not {len(words)}")
    if names:
        return _of_texts({names[0]: words[0]})
    name, steps = _picture_steps(model)
    picture = read_picture(Path(words[0]))
    return InferInput({name: picture_row(picture, steps)}, picture)


def text_inputs(model: ModelInfo) -> list[str]:
    """The inputs that take texts."""
    listed: Mapping[str, Any] = model.json("input_steps") or {}
    only = model.json("text_input")
    return [only["name"]] if only else [name for name, steps in listed.items() if steps[0]["step"] == "text"]


def _of_texts(texts: Mapping[str, str]) -> InferInput:
    return InferInput({name: np.array([text.encode()], np.object_) for name, text in texts.items()}, texts=texts)


def _named_texts(model: str, names: Sequence[str], words: Sequence[str]) -> dict[str, str]:
    """The texts of `facts=TEXT` and `facts=@FILE`; InvalidRequest unless each input is given once."""
    pairs = [word.partition("=") for word in words]
    if sorted(name for name, _, _ in pairs) != sorted(names):
        expected = " ".join(f"{name}=TEXT" for name in names)
        found = " ".join(shorten(word, _SHOWN, placeholder="…") for word in words)
        raise InvalidRequest(f"model {model} takes {expected} (or NAME=@FILE), not {found}")
    return {name: _read_text(Path(text[1:])) if text.startswith("@") else text for name, _, text in pairs}


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


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
