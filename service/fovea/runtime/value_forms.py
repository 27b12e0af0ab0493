"""What a session's inputs and outputs are, where they are no plain tensors, and how their values become arrays.

optional(tensor)         a tensor, or nothing: an input that may be left out; an output that must be there
seq(map(key, tensor))    ZipMap's probabilities, a map of class to number per row: (rows, classes), classes in order
seq(tensor)              tensors of one shape, stacked along a new first axis
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.datatypes import DATATYPES
from fovea.contract.errors import InputRefused, ModelBroken
from fovea.raw_tensors import NUMPY_DTYPE

_DATATYPE_OF_ORT = {facts.ort: name for name, facts in DATATYPES.items()}
"""ONNX Runtime's type text -> the protocol's datatype."""


class Form(StrEnum):
    """How a value holds its numbers."""

    TENSOR = "tensor"
    OPTIONAL = "optional"
    CLASSES = "classes"
    SEQUENCE = "sequence"


_PATTERNS = {
    Form.TENSOR: re.compile(r"(tensor\(\w+\))"),
    Form.OPTIONAL: re.compile(r"optional\((tensor\(\w+\))\)"),
    Form.CLASSES: re.compile(r"seq\(map\((?:int64|string),(tensor\(\w+\))\)\)"),
    Form.SEQUENCE: re.compile(r"seq\((tensor\(\w+\))\)"),
}
"""Of ONNX Runtime's type texts: in the group, the type of the tensors in it."""
_OF_INPUTS = (Form.TENSOR, Form.OPTIONAL)


@dataclass(frozen=True)
class Value:
    """An input or output of a session."""

    name: str
    form: Form
    datatype: str
    """The protocol's name."""

    def array(self, value: Any) -> NDArray[Any]:
        """What a run gave of it; InputRefused where that is no tensor."""
        array = _TO_ARRAY[self.form](self, value)
        if array.dtype.kind not in "OU":
            return array
        return np.array([str(item).encode() for item in array.flat], np.object_).reshape(array.shape)


def value_of(tensor: Any, *, is_input: bool = False) -> Value:
    """The value that ONNX Runtime describes as an input or output; ModelBroken where it cannot be served."""
    for form, pattern in _PATTERNS.items():
        found = pattern.fullmatch(tensor.type)
        datatype = _DATATYPE_OF_ORT.get(found.group(1)) if found else None
        if datatype is not None and (not is_input or form in _OF_INPUTS):
            return Value(tensor.name, form, datatype)
    raise ModelBroken(f"{tensor.name} is a {tensor.type}, which cannot be served: requests and answers carry tensors")


def only_tensors(session: Any) -> bool:
    """Whether every input and output of a session is a tensor."""
    return all(tensor.type in _DATATYPE_OF_ORT for tensor in (*session.get_inputs(), *session.get_outputs()))


def _tensor(value: Value, found: Any) -> NDArray[Any]:
    if found is None:
        raise InputRefused(f"output {value.name} has no value for this request: the model leaves it out")
    return np.asarray(found)


def _classes(value: Value, rows: list[dict[Any, Any]]) -> NDArray[Any]:
    names = class_names(rows)
    if any(row.keys() != rows[0].keys() for row in rows):
        raise InputRefused(f"output {value.name}: its rows are of different classes")
    numbers = [[row[name] for name in names] for row in rows]
    return np.array(numbers, NUMPY_DTYPE[value.datatype]).reshape(len(rows), len(names))


def class_names(rows: list[dict[Any, Any]]) -> list[Any]:
    """The classes of rows of maps, in their order: that of their numbers or texts."""
    return sorted(rows[0]) if rows else []


def _sequence(value: Value, tensors: list[NDArray[Any]]) -> NDArray[Any]:
    shapes = sorted({np.shape(tensor) for tensor in tensors})
    if len(shapes) != 1:
        told = [list(shape) for shape in shapes]
        raise InputRefused(f"output {value.name} is a sequence of tensors of shapes {told}, which make no tensor")
    return np.stack(tensors)


_TO_ARRAY: dict[Form, Callable[[Value, Any], NDArray[Any]]] = {
    Form.TENSOR: _tensor,
    Form.OPTIONAL: _tensor,
    Form.CLASSES: _classes,
    Form.SEQUENCE: _sequence,
}
