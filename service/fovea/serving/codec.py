"""ModelInfer's messages to arrays and back: everything a request must satisfy is checked here, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import MAP_PREFIX, ModelCard, TensorSpec
from fovea.serving.tensors import from_contents, from_raw, to_raw
from fovea.wire import message

_InferRequest = message("ModelInferRequest")
_InferResponse = message("ModelInferResponse")
_CLASSIFICATION_MAX = 2**31


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output to send; `top` > 0 sends the best `top` classes instead of the numbers."""

    spec: TensorSpec
    top: int = 0


@dataclass(frozen=True, slots=True)
class Decoded:
    """A request that has passed the door."""

    inputs: dict[str, NDArray[Any]]
    rows: int
    shapes: tuple[tuple[int, ...], ...]
    """Each input's shape beyond the batch axis, in the model's order."""
    outputs: tuple[WantedOutput, ...]
    maps: bool
    """True where an attention map was asked for."""
    timeout_s: float | None


class Door:
    """What one model version lets in. Made once per version; `decode` and `encode` run per request."""

    def __init__(self, card: ModelCard, version: int, max_batch_rows: int) -> None:
        self._name, self._version = card.name, str(version)
        self._batched, self._max_rows = card.batched, max_batch_rows
        self._inputs = {spec.name: spec for spec in card.inputs}
        self._outputs = {spec.name: spec for spec in card.outputs}
        self._maps = card.maps
        self._labels = card.labels
        self._every_output = tuple(WantedOutput(spec) for spec in card.outputs)

    def decode(self, request: Any) -> Decoded:
        """Arrays from a ModelInferRequest, without copying raw data; InvalidRequest tells expected and received."""
        timeout_s = _timeout_s(request) if request.parameters else None
        arrays = self._arrays(request)
        rows = self._rows(arrays)
        wanted = self._wanted(request) if request.outputs else self._every_output
        maps = any(output.spec.name in self._maps for output in wanted)
        first = 1 if self._batched else 0
        shapes = tuple(arrays[name].shape[first:] for name in self._inputs)
        return Decoded(arrays, rows, shapes, wanted, maps, timeout_s)

    def _arrays(self, request: Any) -> dict[str, NDArray[Any]]:
        raw = request.raw_input_contents
        if raw and len(raw) != len(request.inputs):
            raise InvalidRequest(
                f"expected one raw_input_contents entry for each of {len(request.inputs)} inputs, received {len(raw)}"
            )
        arrays: dict[str, NDArray[Any]] = {}
        for index, tensor in enumerate(request.inputs):
            if tensor.name in arrays:
                raise InvalidRequest(f"input '{tensor.name}' was sent twice")
            arrays[tensor.name] = self._array(tensor, raw[index] if raw else None)
        if len(arrays) != len(self._inputs):
            missing = [name for name in self._inputs if name not in arrays]
            raise InvalidRequest(f"missing input(s) {missing}: expected {list(self._inputs)}, received {list(arrays)}")
        return arrays

    def _array(self, tensor: Any, raw: bytes | None) -> NDArray[Any]:
        spec = self._inputs.get(tensor.name)
        if spec is None:
            raise InvalidRequest(f"unexpected input '{tensor.name}': expected {list(self._inputs)}")
        if tensor.datatype != spec.datatype:
            raise InvalidRequest(f"input '{spec.name}': expected {spec.datatype}, received '{tensor.datatype}'")
        if tensor.parameters:
            raise InvalidRequest(f"input '{spec.name}': parameter {sorted(tensor.parameters)[0]!r} is not supported")
        shape = tuple(tensor.shape)
        self._check_shape(spec, shape)
        if tensor.HasField("contents"):
            if raw is not None:
                raise InvalidRequest(f"input '{spec.name}': raw and typed contents together, send one of them")
            return from_contents(spec.name, spec.datatype, shape, tensor.contents)
        if raw is None:
            if 0 not in shape:
                raise InvalidRequest(f"input '{spec.name}' has neither raw nor typed contents")
            raw = b""
        return from_raw(spec.name, spec.datatype, shape, raw)

    def _check_shape(self, spec: TensorSpec, shape: tuple[int, ...]) -> None:
        expected = spec.shape
        if len(shape) == len(expected) and all(
            size == want or (want < 0 <= size) for size, want in zip(shape, expected, strict=True)
        ):
            return
        hint = ""
        if self._batched and len(shape) == len(expected) - 1:
            hint = f"; the batch axis is missing, send {[1, *shape]}"
        elif any(size < 0 for size in shape):
            hint = "; a request's sizes must be known, -1 is not one"
        raise InvalidRequest(f"input '{spec.name}': expected shape {list(expected)}, received {list(shape)}{hint}")

    def _rows(self, arrays: Mapping[str, NDArray[Any]]) -> int:
        if not self._batched:
            return 1
        rows = {name: len(array) for name, array in arrays.items()}
        counts = set(rows.values())
        if len(counts) > 1:
            raise InvalidRequest(f"inputs differ in their batch size: {rows}")
        count = counts.pop()
        if not 1 <= count <= self._max_rows:
            raise InvalidRequest(f"expected a batch of 1 to {self._max_rows} rows, received {count}")
        return count

    def _wanted(self, request: Any) -> tuple[WantedOutput, ...]:
        wanted = tuple(self._wanted_output(output) for output in request.outputs)
        names = [output.spec.name for output in wanted]
        if len(set(names)) != len(names):
            raise InvalidRequest(f"an output was requested twice: {names}")
        return wanted

    def _wanted_output(self, output: Any) -> WantedOutput:
        spec = self._outputs.get(output.name) or self._maps.get(output.name)
        if spec is None:
            has_maps = f", and maps {list(self._maps)}" if self._maps and output.name.startswith(MAP_PREFIX) else ""
            raise InvalidRequest(f"unknown output '{output.name}': the model has {list(self._outputs)}{has_maps}")
        top = 0
        for name, parameter in output.parameters.items():
            if name == "binary_data":  # a REST notion that Triton's clients carry along
                continue
            if name != "classification":
                raise InvalidRequest(f"output '{spec.name}': parameter '{name}' is not supported")
            top = _integer(f"output '{spec.name}': classification", parameter, 1, _CLASSIFICATION_MAX)
        if top and (spec.datatype == "BYTES" or spec.datatype == "BOOL"):
            raise InvalidRequest(f"output '{spec.name}': classification needs numbers, it is {spec.datatype}")
        return WantedOutput(spec, top)

    def encode(self, request_id: str, wanted: tuple[WantedOutput, ...], outputs: Mapping[str, NDArray[Any]]) -> bytes:
        """The serialized ModelInferResponse; copies the arrays' bytes (copy 2 of 2)."""
        response = _InferResponse(model_name=self._name, model_version=self._version, id=request_id)
        for output in wanted:
            array = outputs[output.spec.name]
            datatype = output.spec.datatype
            if output.top:
                array, datatype = self._classified(array, output.top), "BYTES"
            response.outputs.add(name=output.spec.name, datatype=datatype, shape=array.shape)
            response.raw_output_contents.append(to_raw(array))
        return bytes(response.SerializeToString())

    def _classified(self, scores: NDArray[Any], top: int) -> NDArray[Any]:
        """`"<score>:<index>[:<label>]"`, best first, per row: (rows, classes) -> (rows, top)."""
        flat = scores.reshape(len(scores), -1) if self._batched else scores.reshape(1, -1)
        best = np.argsort(-flat.astype(np.float64), axis=1, kind="stable")[:, :top]
        texts = [
            [self._class_text(row[index], int(index)) for index in order] for row, order in zip(flat, best, strict=True)
        ]
        array = np.array(texts, dtype=np.object_)
        return array if self._batched else array[0]

    def _class_text(self, score: Any, index: int) -> bytes:
        label = f":{self._labels[index]}" if index < len(self._labels) else ""
        return f"{float(score):f}:{index}{label}".encode()


def parse(data: bytes) -> Any:
    """A ModelInferRequest from bytes; InvalidRequest where they are none."""
    try:
        return _InferRequest.FromString(data)
    except Exception as error:  # protobuf's DecodeError has no stable home
        raise InvalidRequest("the request is no ModelInferRequest: its bytes cannot be parsed") from error


def _timeout_s(request: Any) -> float | None:
    """The `timeout` parameter in seconds; InvalidRequest for parameters that are not known or of another type."""
    timeout_s = None
    for name, parameter in request.parameters.items():
        if name == "timeout":
            timeout_us = _integer("parameter 'timeout'", parameter, 0, 2**63 - 1)
            timeout_s = timeout_us / 1e6 if timeout_us else None
        elif name == "priority":
            _integer("parameter 'priority'", parameter, 0, 2**64 - 1)
        elif name in ("sequence_id", "sequence_start", "sequence_end"):
            _check_stateless(name, parameter)
        elif name.startswith("triton_") and name != "triton_enable_empty_final_response":
            raise InvalidRequest(f"parameter '{name}': names that begin with triton_ are reserved")
    return timeout_s


def _check_stateless(name: str, parameter: Any) -> None:
    value = getattr(parameter, parameter.WhichOneof("parameter_choice") or "bool_param")
    if value:
        raise InvalidRequest(f"parameter '{name}': the model keeps no state between requests")


def _integer(what: str, parameter: Any, least: int, most: int) -> int:
    choice = parameter.WhichOneof("parameter_choice")
    if choice not in ("int64_param", "uint64_param"):
        raise InvalidRequest(f"{what}: expected an integer, received {choice or 'nothing'}")
    value = int(getattr(parameter, choice))
    if not least <= value <= most:
        raise InvalidRequest(f"{what}: expected {least} to {most}, received {value}")
    return value
