"""`fovea infer`: a picture or texts to a server, the best labels back, and a picture of where the model looked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.cli.amounts import count, seconds
from fovea.cli.connection_options import add_access, connect
from fovea.cli.infer_input import InferInput, infer_input, seed_input
from fovea.cli.map_files import drawing_of, write_drawing
from fovea.cli.picture_files import require_writable
from fovea.client import DEFAULT_ADDRESS, Client, ModelInfo, Retry
from fovea.contract.errors import InvalidRequest, NotFound, Unsupported
from fovea.inputs.labels import label_of

_SUM_ERROR = 1e-3
"""How far from 1 probabilities in half precision may add up to."""
_LENGTH_ERROR = 1e-3
"""How far from 1 the length of a vector in half precision may be."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which picture or texts, and what to show."""
    parser.add_argument("model")
    sent = "a picture's file (PNG, JPEG, WebP, …), or a text"
    several = "of a model with several texts each as NAME=TEXT, or NAME=@FILE for what is in a file"
    parser.add_argument("what", nargs="+", metavar="WHAT", help=f"{sent}; {several}")
    parser.add_argument("--server", default=DEFAULT_ADDRESS, metavar="ADDRESS", help="default: %(default)s")
    drawn = "draw the attention map here: over the picture, as a matrix of a text's words, beside a text's lines"
    parser.add_argument("--attention", type=Path, metavar="FILE", help=drawn)
    parser.add_argument("--layer", help="layer or output name of the map; default: the last one that has positions")
    parser.add_argument("--head", type=_head, metavar="N", help="of a text's map, from 0; default: the mean of all")
    parser.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="of a model that draws; default: %(default)s"
    )
    parser.add_argument("--top", type=count, default=5, metavar="N", help="labels to print; default: %(default)s")
    parser.add_argument("--timeout", type=seconds, default=30.0, metavar="SECONDS", help="default: %(default)s")
    add_access(parser)


def _head(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, not {text}")
    return int(text)


def _seed(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 1 << 63
    if not -(1 << 63) <= number < 1 << 63:
        raise argparse.ArgumentTypeError(f"expected a whole number of 64 bits, not {text}")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Ask once, with the map where it is wanted, and print the best labels."""
    _check_map(arguments)
    with connect(arguments.server, arguments, arguments.timeout, Retry()) as client:
        model = _described(client, arguments.model)
        asked = infer_input(model, arguments.what)
        drawing = drawing_of(model, asked, arguments.layer) if arguments.attention else None
        outputs = [model.outputs[0].name, *(drawing.outputs if drawing else ())]
        answer = client.infer(model.name, {**asked.arrays, **seed_input(model, arguments.seed)}, outputs)
    for line in told(answer[outputs[0]][0], model, asked, arguments.top):
        print(line)
    if drawing:
        print(f"{arguments.attention}: {write_drawing(arguments.attention, asked, drawing, answer, arguments.head)}")
    return 0


def told(scores: NDArray[Any], model: ModelInfo, asked: InferInput, top: int) -> list[str]:
    """The best classes and what their numbers mean; of a model that gives vectors of length 1, the vector."""
    labels = model.json("labels") or []
    if not labels and scores.ndim == 1 and abs(np.linalg.norm(scores) - 1) < _LENGTH_ERROR and scores.min() < 0:
        first = ", ".join(f"{value:.4f}" for value in scores[:top])
        return [f"a vector of {len(scores)} numbers and length 1: {first}{', …' if len(scores) > top else ''}"]
    shown = "text says" if asked.picture is None else "picture shows"
    return [*best_lines(scores, labels, top), _what_it_means(len(scores), shown)]


def _described(client: Client, name: str) -> ModelInfo:
    """What the server tells of a model; NotFound with what it has instead."""
    try:
        return client.metadata(name)
    except NotFound as error:
        known = ", ".join(dict.fromkeys(state.name for state in client.models())) or "none"
        hint = "one exported since it started is there with --control-mode poll, or after a restart"
        raise NotFound(f"{error}; the server has {known}; {hint}") from error


def _check_map(arguments: argparse.Namespace) -> None:
    """Before anybody is asked: InvalidRequest where a map could not be written, or would not be."""
    if arguments.attention is not None:
        require_writable(arguments.attention)
        return
    for name in ("layer", "head"):
        if (value := getattr(arguments, name)) is not None:
            raise InvalidRequest(f"--{name} {value} chooses a map, which --attention FILE draws")


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
