"""Which attention map is drawn, and how: over a picture, as a path of glimpses, or as a matrix of a text's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fovea.cli.glimpse_paths import is_path, with_path
from fovea.cli.heat_maps import lines_of_picture, overlay
from fovea.cli.infer_input import InferInput
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


def outputs_to_draw(model: ModelInfo, asked: InferInput, chosen: MapInfo) -> list[str]:
    """What has to be asked for: of a text, its tokens too. Unsupported where the server does not tell them."""
    if asked.picture is not None:
        return [chosen.name]
    tokens = [entry["name"] for entry in model.json("token_outputs") or []]
    if len(tokens) != 2:
        raise Unsupported(f"model {model.name} does not tell its tokens, between which the map would be drawn")
    return [chosen.name, *tokens]


def write_map(path: Path, asked: InferInput, chosen: MapInfo, answer: Answer, head: int | None) -> str:
    """Draw it; what has been drawn, in words."""
    values, what = answer[chosen.name][0], f"{chosen.attention} of layer {chosen.layer}"
    if asked.picture is None:
        tokens, offsets = (answer.maps[name][0] for name in ("tokens", "offsets"))
        matrix = matrix_of(values, head)
        save_picture(drawn(matrix, words_of(asked.text, tokens, offsets)), path)
        which = "the mean of its heads" if head is None else f"head {head}"
        return f"{what}, {which}; a row's word attends to a column's, at most {matrix.max():.3f}"
    if head is not None:
        raise InvalidRequest("--head chooses among the heads of a text's map; this one is a picture's")
    if is_path(chosen.attention, chosen.shape):
        save_picture(with_path(asked.picture, values), path)
        return f"{what}, {len(values)} glimpses from dark to light"
    if chosen.attention == AttentionType.COORDINATE:
        values = lines_of_picture(values, rows=chosen.name.endswith(".rows"))
    save_picture(overlay(asked.picture, values), path)
    return f"{what}, from {values.min():.3f} to {values.max():.3f}"
