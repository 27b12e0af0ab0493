"""The steps that make a model's input of the bytes of a picture or a text.

A card lists them by input, in order. The first one decodes the bytes; each takes what the one before it gives.
`fovea.inputs` does them: the same functions for training, export, client and server.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, RootModel, model_validator

Size = Annotated[int, Field(gt=0, le=65_535)]
Byte = Annotated[int, Field(ge=0, le=255)]
CHANNELS = {"L": 1, "RGB": 3}
"""Mode of a picture -> its channels."""
MOST_STEPS = 16


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DecodePicture(_Facts):
    """PNG or JPEG bytes -> a picture, upright, eight bits a channel."""

    takes: ClassVar[str] = "bytes"
    gives: ClassVar[str] = "picture"
    step: Literal["picture"] = "picture"
    background: tuple[Byte, Byte, Byte] = (0, 0, 0)
    """The colour behind what is transparent."""


class ConvertChannels(_Facts):
    """A picture -> grey (L) or in colours (RGB)."""

    takes: ClassVar[str] = "picture"
    gives: ClassVar[str] = "picture"
    step: Literal["channels"] = "channels"
    mode: Literal["L", "RGB"]


class Resize(_Facts):
    """A picture -> of this size: all of it, out of proportion (`stretch`), or as much of its centre as has the
    proportions of that size (`cover`).
    """

    takes: ClassVar[str] = "picture"
    gives: ClassVar[str] = "picture"
    step: Literal["resize"] = "resize"
    height: Size
    width: Size
    filter: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = "bilinear"
    fit: Literal["stretch", "cover"] = "stretch"


class Crop(_Facts):
    """A picture that a resize has made large enough -> its centre of this size."""

    takes: ClassVar[str] = "picture"
    gives: ClassVar[str] = "picture"
    step: Literal["crop"] = "crop"
    height: Size
    width: Size


class Scale(_Facts):
    """A picture -> numbers: each byte divided by `divisor`."""

    takes: ClassVar[str] = "picture"
    gives: ClassVar[str] = "pixels"
    step: Literal["scale"] = "scale"
    divisor: float = Field(default=255.0, gt=0)


class Normalise(_Facts):
    """(number - mean) / std, with one of each for every channel."""

    takes: ClassVar[str] = "pixels"
    gives: ClassVar[str] = "pixels"
    step: Literal["normalise"] = "normalise"
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]


class DecodeText(_Facts):
    """UTF-8 bytes -> a text."""

    takes: ClassVar[str] = "bytes"
    gives: ClassVar[str] = "text"
    step: Literal["text"] = "text"


class NormaliseUnicode(_Facts):
    """A text -> in this normalisation form of Unicode."""

    takes: ClassVar[str] = "text"
    gives: ClassVar[str] = "text"
    step: Literal["unicode"] = "unicode"
    form: Literal["NFC", "NFD", "NFKC", "NFKD"]


class Lowercase(_Facts):
    """A text -> in small letters."""

    takes: ClassVar[str] = "text"
    gives: ClassVar[str] = "text"
    step: Literal["lowercase"] = "lowercase"


class StripAccents(_Facts):
    """A text -> without marks on its letters: é becomes e."""

    takes: ClassVar[str] = "text"
    gives: ClassVar[str] = "text"
    step: Literal["strip_accents"] = "strip_accents"


class Split(_Facts):
    """A text -> tokens: its words, and other marks but blanks one by one; or each character."""

    takes: ClassVar[str] = "text"
    gives: ClassVar[str] = "tokens"
    step: Literal["split"] = "split"
    into: Literal["words", "characters"]


class UseVocabulary(_Facts):
    """Tokens -> their ids, which are their places in a file of the version, from 0."""

    takes: ClassVar[str] = "tokens"
    gives: ClassVar[str] = "ids"
    step: Literal["vocabulary"] = "vocabulary"
    file: str = Field(default="vocabulary.txt", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """A token a line; where the name ends in .json, a list of them."""
    unknown: str | None = None
    """The token for those that are not in the file. None: a text that has one is refused."""
    start: str | None = None
    """The token before the first of a text."""
    end: str | None = None
    """The token behind the last one."""
    pad: str | None = None
    """The token that fills up short texts beside longer ones. None: texts of one request are as long as each other."""
    most_tokens: int | None = Field(default=None, gt=0)
    """The longest text, with its start and end; longer ones are refused. None: no limit is known."""


Step = Annotated[
    DecodePicture
    | ConvertChannels
    | Resize
    | Crop
    | Scale
    | Normalise
    | DecodeText
    | NormaliseUnicode
    | Lowercase
    | StripAccents
    | Split
    | UseVocabulary,
    Field(discriminator="step"),
]
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
        """A row of the tensor that comes of a picture, (channels, height, width); of a text, (-1,)."""
        if self.kind == "text":
            return (-1,)
        mode = next(step.mode for step in self.root if isinstance(step, ConvertChannels))
        height, width = _picture_size(self.root)
        return (CHANNELS[mode], height, width)

    @property
    def files(self) -> list[str]:
        """Files of the version that the steps need."""
        return [step.file for step in self.of(UseVocabulary)]

    def of(self, *kinds: type[Any]) -> list[Any]:
        """The steps of these kinds, in order."""
        return [step for step in self.root if isinstance(step, kinds)]

    @model_validator(mode="after")
    def _steps_fit(self) -> InputSteps:
        if (problem := _order_problem(self.root) or _picture_problem(self)) is not None:
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


def _is_within(crop: Crop, before: Resize | Crop | None) -> bool:
    return before is not None and crop.height <= before.height and crop.width <= before.width


def _picture_size(steps: tuple[Any, ...]) -> tuple[int, int]:
    last = next(step for step in reversed(steps) if isinstance(step, Resize | Crop))
    return (last.height, last.width)


class Preprocessing(_Facts):
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
