"""The models that a server has, and requests that each of them answers: inputs are made from what metadata says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.client.array_bytes import to_raw
from fovea.client.conformance.grpc_front import GrpcFront
from fovea.client.conformance.tensors import outputs_of
from fovea.client.results import TensorInfo
from fovea.contract.datatypes import DATATYPES
from fovea.raw_tensors import NUMPY_DTYPE, bytes_array

_MOST_MODELS = 24
_MOST_ELEMENTS = 1 << 20
_FREE_SIZES = (4, 1, 8, 32, 64, 224)
"""What is tried for axes of any size."""
Fields = dict[str, Any]
"""Of a ModelInferRequest."""


@dataclass(frozen=True)
class Subject:
    """A model, one row for each of its inputs, and what it answered to them."""

    name: str
    version: str
    inputs: Mapping[str, NDArray[Any]]
    told: tuple[TensorInfo, ...]
    """Its inputs, as metadata has them."""
    outputs: tuple[TensorInfo, ...]
    batches: bool
    most_rows: int = 0
    """Of a request; 0 where its configuration does not say."""
    optional: frozenset[str] = frozenset()
    """Inputs that a request may leave out, as its configuration says."""
    answer: Mapping[str, NDArray[Any]] | None = None

    @property
    def first(self) -> TensorInfo:
        """Its first input."""
        return self.told[0]

    def has(self, *datatypes: str) -> bool:
        """Whether an input is of one of the datatypes."""
        return any(tensor.datatype in datatypes for tensor in self.told)


def infer_fields(subject: Subject, rows: int = 1, **changes: Any) -> Fields:
    """A request that the model answers, raw, with what is changed."""
    arrays = {name: np.repeat(array, rows, 0) if rows > 1 else array for name, array in subject.inputs.items()}
    inputs = [
        {"name": tensor.name, "datatype": tensor.datatype, "shape": list(arrays[tensor.name].shape)}
        for tensor in subject.told
    ]
    raw = [to_raw(name, arrays[name]) for name in (tensor.name for tensor in subject.told)]
    return {"model_name": subject.name, "inputs": inputs, "raw_input_contents": raw, **changes}


def find_subjects(grpc: GrpcFront, named: str) -> list[Subject]:
    """The models that answer, those first of which the most can be asked; only the named one where one is named."""
    names = [named] if named else list(islice(_ready(grpc), _MOST_MODELS))
    found = [answering for name in names if (answering := _answering(grpc, name))]
    return sorted(found, key=_worth)


def _worth(subject: Subject) -> tuple[bool, ...]:
    typed = all(DATATYPES[tensor.datatype].contents for tensor in subject.told)
    fixed = any(size > 0 for size in subject.first.shape[1:])
    return (not typed, not subject.batches, subject.first.datatype != "FP32", not fixed, len(subject.told) > 1)


def _ready(grpc: GrpcFront) -> Iterator[str]:
    came = grpc.call("RepositoryIndex")
    if came.status == "OK" and came.value is not None:
        yield from dict.fromkeys(entry.name for entry in came.value.models if entry.state in ("READY", ""))


def _answering(grpc: GrpcFront, name: str) -> Subject | None:
    """The first form of its inputs that it answers."""
    told = grpc.call("ModelMetadata", name=name)
    if told.status != "OK" or told.value is None or not told.value.inputs:
        return None
    for subject in _forms(grpc, told.value):
        came = grpc.call("ModelInfer", **infer_fields(subject))
        if came.status == "OK" and came.value is not None:
            return replace(subject, answer=outputs_of(came.value))
    return None


def _forms(grpc: GrpcFront, told: Any) -> Iterator[Subject]:
    subject = _described(grpc, told)
    if any(tensor.datatype not in DATATYPES for tensor in subject.told):
        return
    for size, counted in product(_FREE_SIZES, (True, False)):
        sizes = {tensor.name: _sizes(tensor.shape, size) for tensor in subject.told}
        if sum(map(prod, sizes.values())) <= _MOST_ELEMENTS:
            arrays = {one.name: _values(one.datatype, sizes[one.name], counted) for one in subject.told}
            yield replace(subject, inputs=arrays)


def _described(grpc: GrpcFront, told: Any) -> Subject:
    """What metadata and configuration say of it, without inputs."""
    inputs = _tensors(told.inputs)
    version = max(told.versions, default="", key=lambda text: int(text) if text.isdecimal() else -1)
    free = all(tensor.shape and tensor.shape[0] == -1 for tensor in inputs)
    subject = Subject(told.name, version, {}, inputs, _tensors(told.outputs), free)
    config = _configuration(grpc, told.name)
    if config is None:
        return subject
    optional = frozenset(tensor.name for tensor in config.input if tensor.optional)
    batches = free and config.max_batch_size > 1
    return replace(subject, batches=batches, most_rows=config.max_batch_size, optional=optional)


def _configuration(grpc: GrpcFront, name: str) -> Any:
    """The model's; None where the server has none."""
    came = grpc.call("ModelConfig", name=name)
    return came.value.config if came.status == "OK" and came.value is not None and came.value.config.name else None


def _sizes(shape: tuple[int, ...], free: int) -> tuple[int, ...]:
    found = [free if size < 0 else size for size in shape]
    if shape and shape[0] == -1:
        found[0] = 1
    return tuple(found)


def _values(datatype: str, shape: tuple[int, ...], counted: bool) -> NDArray[Any]:
    """Small numbers that differ, or zeros; of texts, "1", which servers that expect a number read too."""
    count = prod(shape)
    if datatype == "BYTES":
        return bytes_array([b"1"] * count, shape)
    if datatype == "BOOL":
        return np.ones(shape, np.bool_)
    steps = np.arange(count) % (8 if DATATYPES[datatype].kind == "float" else 2)
    values = steps / 8 if DATATYPES[datatype].kind == "float" else steps
    return (values if counted else values * 0).astype(NUMPY_DTYPE[datatype]).reshape(shape)


def _tensors(tensors: Any) -> tuple[TensorInfo, ...]:
    return tuple(TensorInfo(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors)
