"""How pictures become the input of somebody's own module, read from one word of the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fovea.contract.errors import ExportFailed
from fovea.contract.input_steps import Preprocessing
from fovea.contract.step_kinds import CHANNELS
from fovea.export.input_specs import InputSpec

_WORD = re.compile(r"(?P<mode>L|RGB)(:(?P<mean>[^:]+):(?P<std>[^:]+))?")
_EXPECTED = "expected L or RGB, or with mean and std of a channel RGB:0.485,0.456,0.406:0.229,0.224,0.225"


def preprocessing_of(text: str, specs: Sequence[InputSpec]) -> Preprocessing:
    """`RGB` scales to [0, 1], `RGB:<mean>:<std>` then normalises: one number for all channels, or one for each.

    Height and width are those of the one input that pictures fit. ExportFailed where there is none, or several.
    """
    match = _WORD.fullmatch(text)
    if match is None:
        raise ExportFailed(f"preprocessing: {_EXPECTED}, received {text!r}")
    mode, channels = match["mode"], CHANNELS[match["mode"]]
    height, width = _picture_size(mode, specs)
    mean, std = _each_channel(match["mean"] or "0", channels), _each_channel(match["std"] or "1", channels)
    try:
        facts = {"mode": mode, "height": height, "width": width, "mean": mean, "std": std}
        return Preprocessing.model_validate(facts)
    except ValueError as error:
        raise ExportFailed(f"preprocessing: {_EXPECTED}, received {text!r}") from error


def _picture_size(mode: str, specs: Sequence[InputSpec]) -> tuple[int, int]:
    shapes = [tuple(map(int, spec.row_shape)) for spec in specs if spec.dtype == "float32" and not spec.lengths]
    fitting = [shape for shape in shapes if len(shape) == 3 and shape[0] == CHANNELS[mode] and min(shape) > 0]
    if len(fitting) != 1:
        known = ", ".join(f"{spec.name} {list(spec.row_shape)} {spec.dtype}" for spec in specs)
        raise ExportFailed(f"preprocessing {mode} needs one float32 input 1x{CHANNELS[mode]}xHxW; there are {known}")
    _, height, width = fitting[0]
    return height, width


def _each_channel(text: str, channels: int) -> list[str]:
    numbers = text.split(",")
    return numbers * channels if len(numbers) == 1 else numbers
