"""Which attention maps are drawn, and how: over a picture, as a path of glimpses, as a matrix of a text's words, or as
columns beside a text's lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from fovea.cli.glimpse_paths import is_path, with_path
from fovea.cli.heat_maps import lines_of_picture, overlay
from fovea.cli.infer_input import InferInput
from fovea.cli.line_columns import columns_of, lines_along
from fovea.cli.picture_files import save_picture
from fovea.cli.word_matrix import drawn, matrix_of, words_of
from fovea.client import Answer, ModelInfo
from fovea.contract.attention import AttentionType
from fovea.contract.errors import InvalidRequest, NotFound, Unsupported


@dataclass(frozen=True)
class MapInfo:
    """An attention map that the server offers: its output name, shape, layer and type."""

    name: str
    shape: tuple[int, ...]
    layer: str
    attention: str


def maps_of(model: ModelInfo) -> list[MapInfo]:
    """What the server offers of a model."""
    return [_map(entry) for entry in model.json("maps") or []]


def _map(entry: Mapping[str, Any]) -> MapInfo:
    return MapInfo(entry["name"], tuple(entry["shape"]), entry["layer"], entry["attention"])


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


@dataclass(frozen=True)
class Drawing:
    """What is to be drawn, and what has to be asked for."""

    maps: tuple[MapInfo, ...]
    outputs: tuple[str, ...]
    lines: tuple[str, ...] = ()
    """Of maps that weigh the lines of texts: these."""


def drawing_of(model: ModelInfo, asked: InferInput, layer: str | None) -> Drawing:
    """Over lines, the map of every layer unless one is named; else one map, of a text with the tokens beside it.

    Unsupported where the server does not tell these.
    """
    maps, lines = maps_of(model), lines_along(model, asked.texts)
    over_lines = tuple(entry for entry in maps if entry.name in lines and layer in (None, entry.layer, entry.name))
    if over_lines:
        names = tuple(entry.name for entry in over_lines)
        return Drawing(over_lines, names, tuple(lines[names[0]]))
    chosen = choose_map(maps, layer)
    tokens = [entry["name"] for entry in model.json("token_outputs") or []]
    if asked.picture is None and len(tokens) != 2:
        raise Unsupported(f"model {model.name} does not tell its tokens, between which the map would be drawn")
    return Drawing((chosen,), (chosen.name, *(tokens if asked.picture is None else [])))


def write_drawing(path: Path, asked: InferInput, drawing: Drawing, answer: Answer, head: int | None) -> str:
    """Draw it; what has been drawn, in words."""
    if asked.picture is None and not drawing.lines:
        return _write_matrix(path, asked, drawing.maps[0], answer, head)
    if head is not None:
        raise InvalidRequest("--head chooses among the heads of a map between the words of a text; this is none")
    if asked.picture is None:
        return _write_columns(path, drawing, answer)
    return _write_over(path, asked.picture, drawing.maps[0], answer[drawing.maps[0].name][0])


def _write_matrix(path: Path, asked: InferInput, chosen: MapInfo, answer: Answer, head: int | None) -> str:
    (text,) = asked.texts.values()
    tokens, offsets = (answer.maps[name][0] for name in ("tokens", "offsets"))
    matrix, words = matrix_of(answer[chosen.name][0], head), words_of(text, tokens, offsets)
    save_picture(drawn(matrix, words, words), path)
    which = "the mean of its heads" if head is None else f"head {head}"
    return f"{_what(chosen)}, {which}; a row's word attends to a column's, at most {matrix.max():.3f}"


def _write_columns(path: Path, drawing: Drawing, answer: Answer) -> str:
    columns = columns_of([answer[entry.name][0] for entry in drawing.maps])
    layers = [entry.layer for entry in drawing.maps]
    save_picture(drawn(columns, drawing.lines, layers), path)
    most = ", ".join(f"{weight:.3f}" for weight in columns.max(axis=0))
    return f"{drawing.maps[0].attention}, a column for each of {', '.join(layers)}; to one line at most {most}"


def _write_over(path: Path, picture: Image.Image, chosen: MapInfo, values: NDArray[Any]) -> str:
    if is_path(chosen.attention, chosen.shape):
        save_picture(with_path(picture, values), path)
        return f"{_what(chosen)}, {len(values)} glimpses from dark to light"
    if chosen.attention == AttentionType.COORDINATE:
        values = lines_of_picture(values, rows=chosen.name.endswith(".rows"))
    save_picture(overlay(picture, values), path)
    return f"{_what(chosen)}, from {values.min():.3f} to {values.max():.3f}"


def _what(chosen: MapInfo) -> str:
    return f"{chosen.attention} of layer {chosen.layer}"
