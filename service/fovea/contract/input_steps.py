"""The steps that make a model's input of the bytes of a picture or a text.

A card lists them by input, in order. The first one decodes the bytes; each takes what the one before it gives.
`fovea.inputs` does them: the same functions for training, export, client and server.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, FailFast, Field, RootModel, model_validator

from fovea.contract.facts import Facts
from fovea.contract.step_kinds import (
    CHANNELS,
    ConvertChannels,
    Crop,
    DecodePicture,
    DecodeText,
    Normalise,
    Resize,
    Scale,
    Size,
    Step,
    UseTokenizer,
    UseVocabulary,
)

MOST_STEPS = 16
_LAST = {"picture": "pixels", "text": "ids"}
"""What steps begin with -> what the last one gives."""


class InputSteps(RootModel[Annotated[tuple[Step, ...], FailFast(), Field(min_length=1, max_length=MOST_STEPS)]]):
    """The steps of one input, in order."""

    model_config = ConfigDict(frozen=True)

    @property
    def kind(self) -> str:
        """What they begin with: "picture" or "text"."""
        return self.root[0].step

    @property
    def row_shape(self) -> tuple[int, ...]:
        """What a row becomes: of a picture, (channels, height, width); of a text, (-1,); of lines, (-1, -1)."""
        if self.kind == "text":
            return (-1,) if self.most_lines is None else (-1, -1)
        mode = next(step.mode for step in self.root if isinstance(step, ConvertChannels))
        height, width = _picture_size(self.root)
        return (CHANNELS[mode], height, width)

    @property
    def most_lines(self) -> int | None:
        """Where each line of a text is by itself: how many there may be."""
        return next((step.most_lines for step in self.of(DecodeText)), None)

    @property
    def files(self) -> list[str]:
        """Files of the version that the steps need."""
        return [step.file for step in self.of(UseVocabulary, UseTokenizer)]

    @property
    def types(self) -> str | None:
        """An input that is made of the same texts: which of two each token is of."""
        return next((step.types for step in self.of(UseTokenizer)), None)

    def of(self, *kinds: type[Any]) -> list[Any]:
        """The steps of these kinds, in order."""
        return [step for step in self.root if isinstance(step, kinds)]

    @model_validator(mode="after")
    def _steps_fit(self) -> InputSteps:
        if (problem := _order_problem(self.root) or _picture_problem(self) or _lines_problem(self)) is not None:
            raise ValueError(problem)
        return self


def _order_problem(steps: tuple[Any, ...]) -> str | None:
    """Why these cannot be done one after the other."""
    first, last = steps[0], steps[-1]
    if first.takes != "bytes":
        return f"expected {' or '.join(_LAST)} as the first step, found {first.step}"
    for one, next_one in pairwise(steps):
        if one.gives != next_one.takes:
            return f"step {next_one.step} takes {next_one.takes}, and {one.step} before it gives {one.gives}"
    if last.gives != _LAST[first.step]:
        return f"the last step, {last.step}, gives {last.gives}, expected {_LAST[first.step]}"
    return None


def _picture_problem(steps: InputSteps) -> str | None:
    """Why pictures do not all become rows of one shape so."""
    if steps.kind != "picture":
        return None
    modes = steps.of(ConvertChannels)
    if len(modes) != 1:
        return f"expected one step channels, found {len(modes)}"
    sizes = steps.of(Resize, Crop)
    if not sizes:
        return "expected a step resize, since pictures come in any size"
    if any(isinstance(one, Crop) and not _is_within(one, before) for before, one in pairwise([None, *sizes])):
        return "a crop must be within what the resize before it makes"
    channels = CHANNELS[modes[0].mode]
    wrong = [one for one in steps.of(Normalise) if (len(one.mean), len(one.std)) != (channels, channels)]
    return f"mean and std need {channels} value(s) for mode {modes[0].mode}" if wrong else None


def _lines_problem(steps: InputSteps) -> str | None:
    """Why lines cannot become rows: short ones are filled up, and what is filled up must be bounded."""
    if steps.most_lines is None:
        return None
    if any(step.pairs or step.types for step in steps.of(UseTokenizer)):
        return "most_lines goes with neither pairs nor types"
    bounded = all(step.pad and step.most_tokens for step in steps.of(UseVocabulary, UseTokenizer))
    return None if bounded else "most_lines needs pad and most_tokens in the last step"


def _is_within(crop: Crop, before: Resize | Crop | None) -> bool:
    return before is not None and crop.height <= before.height and crop.width <= before.width


def _picture_size(steps: tuple[Any, ...]) -> tuple[int, int]:
    last = next(step for step in reversed(steps) if isinstance(step, Resize | Crop))
    return (last.height, last.width)


class Preprocessing(Facts):
    """The short form for pictures: convert, resize, scale to [0, 1], then (pixel - mean) / std.

    What is transparent shows the mean colour, which the model reads as zero.
    """

    mode: Literal["L", "RGB"]
    height: Size
    width: Size
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> Preprocessing:
        channels = CHANNELS[self.mode]
        if len(self.mean) != channels or len(self.std) != channels:
            raise ValueError(f"mean and std need {channels} value(s) for mode {self.mode}")
        return self

    @property
    def steps(self) -> InputSteps:
        """The same as a list of steps."""
        return _listed(self)


@lru_cache
def _listed(short: Preprocessing) -> InputSteps:
    """Made once: each request that is nothing but a picture asks for them."""
    red, green, blue = (min(max(round(255 * value), 0), 255) for value in (short.mean * 3)[:3])
    return InputSteps(
        (
            DecodePicture(background=(red, green, blue)),
            ConvertChannels(mode=short.mode),
            Resize(height=short.height, width=short.width),
            Scale(),
            Normalise(mean=short.mean, std=short.std),
        )
    )
