"""The steps of a card that make tokens of texts, each a function."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import groupby
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.contract.input_steps import InputSteps
from fovea.contract.step_kinds import Lowercase, NormaliseUnicode, Split, StripAccents
from fovea.inputs.spans import Piece, Span, origins, traced

MAX_TEXT_BYTES = 1 << 16
"""Most bytes of one text: taking it apart holds up every other thread for some milliseconds."""
MOST_MARKS = 30
"""Most combining marks in a row, as in Unicode's stream-safe text format. The time in which Python orders them grows
with the square of their number: 1.5 s for a text that is nothing else."""
_WORD = re.compile(r"\w+|[^\w\s]")
"""A run of letters, digits and underscores, or any other mark by itself; blanks only part them."""


def decode_text(data: bytes) -> str:
    """The text that these bytes are; InvalidRequest tells why they are none."""
    if len(data) > MAX_TEXT_BYTES:
        raise InvalidRequest(f"a text of {len(data)} bytes is above the limit of {MAX_TEXT_BYTES}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"expected UTF-8, and byte {error.start} is none") from error


def changed(text: str, steps: InputSteps) -> str:
    """The text as the steps change it, before it is split."""
    for step in steps.root:
        if (change := ON_TEXTS.get(type(step))) is not None:
            text = change(text, step)
    return text


def origins_of(text: str, steps: InputSteps) -> list[Span]:
    """Of each character of the changed text: the part of the caller's that it comes of."""
    source = [(place, place + 1) for place in range(len(text))]
    for step in steps.root:
        if (change := ON_TEXTS.get(type(step))) is not None:
            own = origins(text, lambda part: change(part, step))  # noqa: B023 (called before the loop goes on)
            source = traced(own, source)
            text = change(text, step)
    return source


def split(text: str, step: Split) -> list[str]:
    """The tokens of a changed text; InvalidRequest where there is none."""
    tokens = SPLITS[step.into].findall(text)
    if not tokens:
        raise InvalidRequest("an empty text" if not text else "a text without any token")
    return tokens


def split_pieces(text: str, step: Split) -> list[Piece]:
    """The same tokens, each with its place in the changed text."""
    return [Piece(match.group(), match.span()) for match in SPLITS[step.into].finditer(text)]


def _in_form(text: str, step: NormaliseUnicode) -> str:
    _require_few_marks(text)
    return unicodedata.normalize(step.form, text)


def _lowercase(text: str, step: Lowercase) -> str:  # noqa: ARG001
    return text.lower()


def _without_accents(text: str, step: StripAccents) -> str:  # noqa: ARG001
    _require_few_marks(text)
    return "".join(mark for mark in unicodedata.normalize("NFD", text) if unicodedata.category(mark) != "Mn")


def _require_few_marks(text: str) -> None:
    """InvalidRequest where more than `MOST_MARKS` follow each other."""
    if text.isascii():
        return
    marks = {letter for letter in set(text) if unicodedata.combining(unicodedata.normalize("NFKD", letter)[0])}
    if marks and any(found and len(list(run)) > MOST_MARKS for found, run in groupby(text, marks.__contains__)):
        raise InvalidRequest(f"more than {MOST_MARKS} combining marks in a row")


ON_TEXTS: dict[type[Any], Callable[[str, Any], str]] = {
    NormaliseUnicode: _in_form,
    Lowercase: _lowercase,
    StripAccents: _without_accents,
}
"""Step -> what it does to a text."""
SPLITS = {"words": _WORD, "characters": re.compile(".", re.DOTALL)}
"""What a text is split into -> what one token is."""
