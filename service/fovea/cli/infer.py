"""`fovea infer`: a picture or a text to a server, the best labels back, and a picture of where the model looked."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fovea.cli.amounts import count, seconds
from fovea.cli.connection_options import add_access, connect
from fovea.cli.glimpse_paths import is_path, with_path
from fovea.cli.heat_maps import overlay
from fovea.cli.infer_input import infer_input, seed_input
from fovea.cli.picture_files import require_writable, save_picture
from fovea.client import DEFAULT_ADDRESS, Client, ModelInfo, Retry
from fovea.contract.errors import InvalidRequest, NotFound, Unsupported
from fovea.inputs.labels import label_of

_SUM_ERROR = 1e-3
"""How far from 1 probabilities in half precision may add up to."""


@dataclass(frozen=True)
class MapInfo:
    """An attention map that the server offers: its output name, shape, layer and type."""

    name: str
    shape: tuple[int, ...]
    layer: str
    attention: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which picture or text, and what to show."""
    parser.add_argument("model")
    parser.add_argument("what", metavar="PICTURE | TEXT", help="a picture's file (PNG, JPEG, WebP, …), or a text")
    parser.add_argument("--server", default=DEFAULT_ADDRESS, metavar="ADDRESS", help="default: %(default)s")
    parser.add_argument("--attention", type=Path, metavar="FILE", help="write the attention map over the picture here")
    parser.add_argument("--layer", help="layer or output name of the map; default: the last one that has positions")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of a model that draws; default: %(default)s")
    parser.add_argument("--top", type=count, default=5, metavar="N", help="labels to print; default: %(default)s")
    parser.add_argument("--timeout", type=seconds, default=30.0, metavar="SECONDS", help="default: %(default)s")
    add_access(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask once, with the map where it is wanted, and print the best labels."""
    _check_map(arguments.attention, arguments.layer)
    with connect(arguments.server, arguments, arguments.timeout, Retry()) as client:
        model = _described(client, arguments.model)
        chosen = choose_map(_maps(model), arguments.layer) if arguments.attention else None
        asked = infer_input(model, arguments.what)
        if chosen and asked.picture is None:
            raise InvalidRequest(f"--attention draws a map over a picture, and model {model.name} takes texts")
        outputs = [model.outputs[0].name, *([chosen.name] if chosen else [])]
        inputs = {asked.name: asked.array, **seed_input(model, arguments.seed)}
        answer = client.infer(model.name, inputs, outputs)
    scores = answer[outputs[0]][0]
    for line in best_lines(scores, model.json("labels") or [], arguments.top):
        print(line)
    print(_what_it_means(len(scores), "text says" if asked.picture is None else "picture shows"))
    if chosen and asked.picture is not None:
        _write_map(arguments.attention, asked.picture, chosen, answer[chosen.name][0])
    return 0


def _described(client: Client, name: str) -> ModelInfo:
    """What the server tells of a model; NotFound with what it has instead."""
    try:
        return client.metadata(name)
    except NotFound as error:
        known = ", ".join(dict.fromkeys(state.name for state in client.models())) or "none"
        hint = "one exported since it started is there with --control-mode poll, or after a restart"
        raise NotFound(f"{error}; the server has {known}; {hint}") from error


def _check_map(path: Path | None, layer: str | None) -> None:
    """Before anybody is asked: InvalidRequest where a map could not be written, or would not be."""
    if path is not None:
        require_writable(path)
    elif layer is not None:
        raise InvalidRequest(f"--layer {layer} chooses a map, which --attention FILE draws")


def choose_map(maps: Sequence[MapInfo], layer: str | None) -> MapInfo:
    """The map to draw: of the layer that is named, else of the last; one with positions rather than channels."""
    if not maps:
        raise Unsupported("this model offers no attention maps")
    fitting = [entry for entry in maps if layer in (None, entry.layer, entry.name)]
    if not fitting:
        known = ", ".join(dict.fromkeys(entry.layer for entry in maps))
        raise NotFound(f"no layer {layer}; there are {known}")
    with_positions = [entry for entry in fitting if len(entry.shape) > 2]
    return (with_positions or fitting)[-1]


def probabilities_of(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Of a vector of logits, the softmax in float64; scores that are probabilities already, as they are."""
    exact = scores.astype(np.float64)
    if exact.min() >= 0 and abs(exact.sum() - 1) < _SUM_ERROR:
        return exact
    powers = np.exp(exact - exact.max())
    result: NDArray[np.float64] = powers / powers.sum()
    return result


def best_lines(scores: NDArray[Any], labels: Sequence[str], top: int) -> list[str]:
    """The `top` best classes, one a line: probability, score (the output's own number), label or class number."""
    if scores.ndim != 1:
        raise Unsupported(f"the first output has shape {scores.shape} a row, which is no list of classes")
    probabilities = probabilities_of(scores)
    best = np.argsort(-scores, kind="stable")[:top]
    names = [label_of(labels, index) or f"class {index}" for index in best]
    return [
        f"{probabilities[index]:7.2%}  {scores[index]:8.2f}  {name}" for index, name in zip(best, names, strict=True)
    ]


def _what_it_means(classes: int, whatever: str) -> str:
    """Noise gets 93 % as well, and nothing in the scores tells it from a picture of what the model was trained on."""
    among = f"The model divides 100 % among its {classes} classes, whatever the {whatever}"
    return f"{among}; a share is no chance of being right."


def _maps(model: ModelInfo) -> list[MapInfo]:
    return [_map(entry) for entry in model.json("maps") or []]


def _map(entry: Mapping[str, Any]) -> MapInfo:
    return MapInfo(entry["name"], tuple(entry["shape"]), entry["layer"], entry["attention"])


def _write_map(path: Path, picture: Image.Image, chosen: MapInfo, values: NDArray[Any]) -> None:
    said = f"{path}: {chosen.attention} of layer {chosen.layer}"
    if is_path(chosen.attention, chosen.shape):
        save_picture(with_path(picture, values), path)
        print(f"{said}, {len(values)} glimpses from dark to light")
        return
    save_picture(overlay(picture, values), path)
    print(f"{said}, from {values.min():.3f} to {values.max():.3f}")
