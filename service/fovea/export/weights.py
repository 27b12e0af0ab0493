"""Writes the ONNX files of a version; large weights are stored once, in a file that both models refer to.

Small models carry their weights themselves: one file that runs alone is worth more than a megabyte.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

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
        models = _with_shared_weights(folder / WEIGHTS_FILE, models)
    paths = []
    for name, model in models.items():
        onnx.save_model(model, folder / name)
        paths.append(folder / name)
    return paths


def _with_shared_weights(file: Path, models: Mapping[str, onnx.ModelProto]) -> dict[str, onnx.ModelProto]:
    """Copies of the models that refer to `file`; a tensor's name tells its content, since all come from one graph."""
    places: dict[str, tuple[int, int]] = {}
    result = {name: copy.deepcopy(model) for name, model in models.items()}
    with file.open("wb") as stream:
        for tensor in (tensor for model in result.values() for tensor in model.graph.initializer):
            if len(tensor.raw_data) < _SMALL_TENSOR_BYTES:
                continue
            if tensor.name not in places:
                stream.write(b"\0" * (-stream.tell() % _ALIGNMENT))
                places[tensor.name] = (stream.tell(), len(tensor.raw_data))
                stream.write(tensor.raw_data)
            offset, length = places[tensor.name]
            set_external_data(tensor, location=file.name, offset=offset, length=length)
            tensor.ClearField("raw_data")
    return result
