"""Writes the ONNX files of a version; large weights are stored once, in a file that both models refer to.

Small models carry their weights themselves: one file that runs alone is worth more than a megabyte.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import onnx
from onnx.external_data_helper import set_external_data

WEIGHTS_FILE = "weights.bin"
SHARED_FROM_BYTES = 16 * 1024 * 1024
_SMALL_TENSOR_BYTES = 1024
_ALIGNMENT = 4096  # one page, so that a runtime can map the file


def save_models(
    folder: Path, models: Mapping[str, onnx.ModelProto], shared_from_bytes: int = SHARED_FROM_BYTES
) -> list[Path]:
    """Write every model under its name; much weight that several models have goes to one shared file."""
    size = sum(len(tensor.raw_data) for model in models.values() for tensor in model.graph.initializer)
    if len(models) > 1 and size // len(models) >= shared_from_bytes:
        _save_sharing_weights(folder, models)
    else:
        for name, model in models.items():
            onnx.save_model(model, folder / name)
    return [folder / name for name in models]


def _save_sharing_weights(folder: Path, models: Mapping[str, onnx.ModelProto]) -> None:
    """A tensor's name tells its content, since all models come from one graph. They are copied one at a time."""
    places: dict[str, tuple[int, int]] = {}
    with (folder / WEIGHTS_FILE).open("wb") as stream:
        for name, model in models.items():
            onnx.save_model(_referring(copy.deepcopy(model), stream, places), folder / name)


def _referring(model: onnx.ModelProto, stream: BinaryIO, places: dict[str, tuple[int, int]]) -> onnx.ModelProto:
    """The model, changed to find its weights in the file; what is not in `places` yet is written."""
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) < _SMALL_TENSOR_BYTES:
            continue
        if tensor.name not in places:
            stream.write(b"\0" * (-stream.tell() % _ALIGNMENT))
            places[tensor.name] = (stream.tell(), len(tensor.raw_data))
            stream.write(tensor.raw_data)
        offset, length = places[tensor.name]
        set_external_data(tensor, location=WEIGHTS_FILE, offset=offset, length=length)
        tensor.ClearField("raw_data")
    return model
