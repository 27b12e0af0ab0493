"""An input's typed contents, as a message has them, to numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.datatypes import DATATYPES
from fovea.contract.errors import InvalidRequest
from fovea.raw_tensors import NUMPY_DTYPE, bytes_array
from fovea.serving.requests.tensor_data import ExpectedInput

CONTENTS_FIELD: dict[str, str] = {name: facts.contents for name, facts in DATATYPES.items() if facts.contents}
"""Datatype -> field of InferTensorContents. What has none travels raw only."""

_CHUNK = 16 * 1024
"""Elements converted in one go: 2 ms in which no other thread runs."""


class TypedContents:
    """The values of one input that has some; see `fovea.serving.requests.infer_request.Values`."""

    __slots__ = ("_contents",)

    def __init__(self, contents: Any) -> None:
        self._contents = contents

    @property
    def bytes(self) -> int:
        """Size of the serialized contents."""
        return int(self._contents.ByteSize())

    def array(self, expected: ExpectedInput) -> NDArray[Any]:
        """InvalidRequest for a wrong field, count or range of values."""
        name, datatype = expected.name, expected.datatype
        field = CONTENTS_FIELD.get(datatype)
        if field is None:
            raise InvalidRequest(f"input '{name}': {datatype} has no typed contents, send it as raw_input_contents")
        others = [descriptor.name for descriptor, _ in self._contents.ListFields() if descriptor.name != field]
        if others:
            raise InvalidRequest(f"input '{name}': {datatype} data belongs in {field}, received {others[0]}")
        values = getattr(self._contents, field)
        expected.check_count(len(values))  # first: converting millions of values holds everybody up
        if datatype == "BYTES":
            return bytes_array(list(values), expected.shape)
        array = np.empty(len(values), NUMPY_DTYPE[datatype])
        try:
            for start in range(0, len(values), _CHUNK):
                array[start : start + _CHUNK] = values[start : start + _CHUNK]
        except OverflowError as error:
            raise InvalidRequest(f"input '{name}': a value does not fit {datatype}") from error
        return array.reshape(expected.shape)


class BothForms:
    """The values of any input of a request to `model` that brings raw data, and typed contents for `name`."""

    __slots__ = ("_model", "_name")
    bytes = 0

    def __init__(self, model: str, name: str) -> None:
        self._model, self._name = model, name

    def array(self, expected: ExpectedInput) -> NDArray[Any]:  # noqa: ARG002 - none is right
        """InvalidRequest, in the words that Triton's clients look for."""
        raise InvalidRequest(
            f"contents field must not be specified when using raw_input_contents for '{self._name}' "
            f"for model '{self._model}'"
        )


def has_contents(tensor: Any) -> bool:
    """Whether an input brings typed contents; mlserver's client leaves empty ones beside raw data."""
    return tensor.HasField("contents") and bool(tensor.contents.ListFields())
