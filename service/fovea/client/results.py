"""What a server's answers become: frozen values, and the functions that read them from messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.client.array_bytes import from_raw
from fovea.contract.errors import FoveaError, Unsupported
from fovea.contract.model_card import MAP_PREFIX


@dataclass(frozen=True)
class Class:
    """One of the best classes of a row. `label` is empty where the model names none.

    `score` is the output's own number, a logit where the network ends in logits: `fovea infer` prints the same, beside
    the probability that follows from the scores of all classes.
    """

    label: str
    score: float
    index: int


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model answered. `answer[name]` is the array of an output or a map by the name it was asked for."""

    model: str
    version: str
    request_id: str
    outputs: Mapping[str, NDArray[Any]]
    """Output name -> array. Arrays are read-only views of the answer's bytes."""
    maps: Mapping[str, NDArray[Any]]
    """Layer, and which of its maps where it has several -> attention map: "blocks.2.attention.map"."""
    classes: Mapping[str, tuple[tuple[Class, ...], ...]]
    """Output that was asked for with `top` -> for each row its best classes, best first."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The array of an output or a map; KeyError where the answer has none of that name."""
        return self.maps[layer] if (layer := layer_of(name)) in self.maps else self.outputs[name]

    @property
    def labels(self) -> tuple[str, ...]:
        """The best label of each row of the first output that was asked for with `top`; none without `top`."""
        rows = next(iter(self.classes.values()), ())
        return tuple(row[0].label for row in rows)


@dataclass(frozen=True)
class TensorInfo:
    """A tensor as the server describes it; -1 is an axis of any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelInfo:
    """What the server tells about a model. `properties` are texts; `json` reads the structured ones."""

    name: str
    versions: tuple[str, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    properties: Mapping[str, str]

    def json(self, name: str) -> Any:
        """The value of a JSON property, None where it is missing or empty; FoveaError where it is no JSON."""
        try:
            return json.loads(self.properties.get(name) or "null")
        except json.JSONDecodeError as error:
            raise FoveaError(f"the server's property {name!r} of model {self.name} is no JSON") from error


@dataclass(frozen=True)
class ServerInfo:
    """What the server tells of itself. `extensions` are the parts of the protocol that work."""

    name: str
    version: str
    extensions: tuple[str, ...]


@dataclass(frozen=True)
class ModelState:
    """One version in the server's repository index."""

    name: str
    version: str
    state: str
    reason: str


@dataclass(frozen=True)
class Total:
    """How often something happened, and what it took in all."""

    count: int
    seconds: float


@dataclass(frozen=True)
class Statistics:
    """What a version has done since it was loaded."""

    model: str
    version: str
    rows: int
    batches: int
    totals: Mapping[str, Total]
    """By the protocol's names: success, fail, queue, compute_input, compute_infer, compute_output, cache_hit, …"""
    batch_s: Mapping[int, float]
    """Rows of a batch -> seconds that one of that size took in the model, on average."""


def layer_of(map_name: str) -> str:
    """`attention.blocks.2.attention.map` -> `blocks.2.attention.map`."""
    return map_name.removeprefix(MAP_PREFIX) if map_name.startswith(MAP_PREFIX) else ""


def read_answer(answer: Any, classified: Iterable[str]) -> Answer:
    """A ModelInferResponse; `classified` names the outputs that hold classes. Unsupported where data are not raw."""
    if len(answer.outputs) != len(answer.raw_output_contents):
        raise Unsupported(f"an answer of {len(answer.outputs)} outputs with data in typed contents, not in raw ones")
    arrays = {
        tensor.name: from_raw(tensor, raw)
        for tensor, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }
    maps = {layer: array for name, array in arrays.items() if (layer := layer_of(name))}
    outputs = {name: array for name, array in arrays.items() if not layer_of(name)}
    classes = {name: read_classes(outputs.pop(name)) for name in classified if name in outputs}
    return Answer(answer.model_name, answer.model_version, answer.id, outputs, maps, classes)


def read_classes(texts: NDArray[Any]) -> tuple[tuple[Class, ...], ...]:
    """`"<score>:<index>[:<label>]"`, (rows, top) or (top,) of bytes -> for each row its classes."""
    return tuple(tuple(_class(text) for text in row) for row in np.atleast_2d(texts))


def _class(text: bytes) -> Class:
    score, index, *label = text.decode().split(":", 2)
    return Class("".join(label), float(score), int(index))


def read_model(answer: Any) -> ModelInfo:
    """A ModelMetadataResponse."""
    inputs, outputs = _tensors(answer.inputs), _tensors(answer.outputs)
    return ModelInfo(answer.name, tuple(answer.versions), inputs, outputs, dict(answer.properties))


def read_server(answer: Any) -> ServerInfo:
    """A ServerMetadataResponse."""
    return ServerInfo(answer.name, answer.version, tuple(answer.extensions))


def read_index(answer: Any) -> list[ModelState]:
    """A RepositoryIndexResponse."""
    return [ModelState(entry.name, entry.version, entry.state, entry.reason) for entry in answer.models]


def read_statistics(answer: Any) -> list[Statistics]:
    """A ModelStatisticsResponse."""
    return [_statistics(entry) for entry in answer.model_stats]


def _statistics(entry: Any) -> Statistics:
    stats = entry.inference_stats
    names: Sequence[str] = [field.name for field in stats.DESCRIPTOR.fields]
    totals = {name: Total(getattr(stats, name).count, getattr(stats, name).ns / 1e9) for name in names}
    runs = {batch.batch_size: batch.compute_infer for batch in entry.batch_stats}
    batch_s = {rows: run.ns / run.count / 1e9 for rows, run in runs.items() if run.count}
    return Statistics(entry.name, entry.version, entry.inference_count, entry.execution_count, totals, batch_s)


def _tensors(tensors: Any) -> tuple[TensorInfo, ...]:
    return tuple(TensorInfo(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors)
