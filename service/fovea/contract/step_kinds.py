"""The kinds of steps that make a model's input: what each takes, what it gives, and what a card says of it.

`fovea.inputs` does them.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fovea.contract.facts import Facts

Size = Annotated[int, Field(gt=0, le=65_535)]
Byte = Annotated[int, Field(ge=0, le=255)]
CHANNELS = {"L": 1, "RGB": 3}
"""Mode of a picture -> its channels."""


class DecodePicture(Facts):
    """PNG or JPEG bytes -> a picture, upright, eight bits a channel."""

    takes: ClassVar[str] = "bytes"
    gives: ClassVar[str] = "picture"
    step: Literal["picture"] = "picture"
    background: tuple[Byte, Byte, Byte] = (0, 0, 0)
    """The colour behind what is transparent."""


class ConvertChannels(Facts):
    """A picture -> grey (L) or in colours (RGB)."""

    takes: ClassVar[str] = "picture"
    gives: ClassVar[str] = "picture"
    step: Literal["channels"] = "channels"
    mode: Literal["L", "RGB"]


class Resize(Facts):
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


class Crop(Facts):
    """A picture that a resize has made large enough -> its centre of this size."""

    takes: ClassVar[str] = "picture"
    gives: ClassVar[str] = "picture"
    step: Literal["crop"] = "crop"
    height: Size
    width: Size


class Scale(Facts):
    """A picture -> numbers: each byte divided by `divisor`."""

    takes: ClassVar[str] = "picture"
    gives: ClassVar[str] = "pixels"
    step: Literal["scale"] = "scale"
    divisor: float = Field(default=255.0, gt=0)


class Normalise(Facts):
    """(number - mean) / std, with one of each for every channel."""

    takes: ClassVar[str] = "pixels"
    gives: ClassVar[str] = "pixels"
    step: Literal["normalise"] = "normalise"
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]


class DecodeText(Facts):
    """UTF-8 bytes -> a text, or one of each line."""

    takes: ClassVar[str] = "bytes"
    gives: ClassVar[str] = "text"
    step: Literal["text"] = "text"
    most_lines: int | None = Field(default=None, gt=0, le=1024)
    """Each line is a text by itself, a row has two axes, and so many lines may be sent. None: all of it is one text."""


class NormaliseUnicode(Facts):
    """A text -> in this normalisation form of Unicode."""

    takes: ClassVar[str] = "text"
    gives: ClassVar[str] = "text"
    step: Literal["unicode"] = "unicode"
    form: Literal["NFC", "NFD", "NFKC", "NFKD"]


class Lowercase(Facts):
    """A text -> in small letters."""

    takes: ClassVar[str] = "text"
    gives: ClassVar[str] = "text"
    step: Literal["lowercase"] = "lowercase"


class StripAccents(Facts):
    """A text -> without marks on its letters: é becomes e."""

    takes: ClassVar[str] = "text"
    gives: ClassVar[str] = "text"
    step: Literal["strip_accents"] = "strip_accents"


class Split(Facts):
    """A text -> tokens: its words, and other marks but blanks one by one; or each character."""

    takes: ClassVar[str] = "text"
    gives: ClassVar[str] = "tokens"
    step: Literal["split"] = "split"
    into: Literal["words", "characters"]


class UseVocabulary(Facts):
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


class UseTokenizer(Facts):
    """A text, or two of them -> token ids, by a tokenizer of the `tokenizers` library in a file of the version.

    The file's own truncation and padding are left out: no text is cut in silence.
    """

    takes: ClassVar[str] = "text"
    gives: ClassVar[str] = "ids"
    step: Literal["tokenizer"] = "tokenizer"
    file: str = Field(default="tokenizer.json", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    pad: str | None = None
    """The token that fills up short texts beside longer ones. None: texts of one request are as long as each other."""
    most_tokens: int | None = Field(default=None, gt=0)
    """The longest text, with the tokens that the tokenizer adds; longer ones are refused. None: no limit is known."""
    pairs: bool = False
    """Whether a row may be two texts."""
    types: str | None = None
    """An input that is made as well: for each token 0, or 1 where it is of a second text."""


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
    | UseVocabulary
    | UseTokenizer,
    Field(discriminator="step"),
]
