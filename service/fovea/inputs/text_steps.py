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


def tokens_of(text: str, steps: InputSteps) -> list[str]:
    """The tokens that the steps make of a text; InvalidRequest where nothing is left of it."""
    for step in steps.root:
        if (change := ON_TEXTS.get(type(step))) is not None:
            text = change(text, step)
    (split,) = steps.of(Split)
    tokens = SPLITS[split.into](text)
    if not tokens:
        raise InvalidRequest("an empty text" if not text else "a text without any token")
    return tokens


def _in_form(text: str, step: NormaliseUnicode) -> str:
    _require_few_marks(text)
    return unicodedata.normalize(step.form, text)


def _lowercase(text: str, _: Lowercase) -> str:
    return text.lower()


def _without_accents(text: str, _: StripAccents) -> str:
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
SPLITS: dict[str, Callable[[str], list[str]]] = {"words": _WORD.findall, "characters": list}
"""What a text is split into -> how."""
