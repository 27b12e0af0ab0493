"""Tensors of any server's answers: raw or typed over gRPC, JSON or binary over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.client.array_bytes import from_raw
from fovea.client.conformance.http_front import HttpAnswer
from fovea.contract.datatypes import DATATYPES
from fovea.raw_tensors import NUMPY_DTYPE

Arrays = Mapping[str, NDArray[Any]]


def outputs_of(message: Any) -> Arrays:
    """Of a ModelInferResponse. Any error where data and shapes do not fit."""
    if message.raw_output_contents:
        pairs = zip(message.outputs, message.raw_output_contents, strict=True)
        return {tensor.name: from_raw(tensor, raw) for tensor, raw in pairs}
    return {tensor.name: _typed(tensor) for tensor in message.outputs}


def _typed(tensor: Any) -> NDArray[Any]:
    values = list(getattr(tensor.contents, DATATYPES[tensor.datatype].contents))
    return np.array(values, NUMPY_DTYPE[tensor.datatype]).reshape(tuple(tensor.shape))


def http_outputs(answer: HttpAnswer) -> Arrays:
    """Of an answer to an inference over HTTP. Any error where data and shapes do not fit."""
    found, at = {}, 0
    for output in answer.json["outputs"]:
        if "data" in output:
            found[output["name"]] = json_array(output["datatype"], output["shape"], output["data"])
        else:
            size = output["parameters"]["binary_data_size"]
            tensor = SimpleNamespace(name=output["name"], datatype=output["datatype"], shape=output["shape"])
            found[output["name"]] = from_raw(tensor, answer.data[at : at + size])
            at += size
    return found


def json_array(datatype: str, shape: list[int], data: Any) -> NDArray[Any]:
    """JSON's flat or nested data; texts as bytes."""
    if datatype == "BYTES":
        return np.array([text.encode() for text in np.ravel(data)], np.object_).reshape(shape)
    return np.array(data, NUMPY_DTYPE[datatype]).reshape(shape)


def alike(found: Arrays, expected: Arrays, rows: int = 1) -> bool:
    """The same outputs, each row of them the expected one, as near as batches of floats come to each other."""
    if found.keys() != expected.keys():
        return False
    return all(_alike(found[name], _rows(array, rows)) for name, array in expected.items())


def _rows(array: NDArray[Any], rows: int) -> NDArray[Any]:
    return np.repeat(array, rows, 0) if rows > 1 else array


def _alike(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return False
    if found.dtype.kind in "fc":
        return bool(np.allclose(found, expected, rtol=1e-2, atol=1e-3, equal_nan=True))
    return bool(np.array_equal(found, expected))
