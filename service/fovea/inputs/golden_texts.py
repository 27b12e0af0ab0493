"""Texts, and the token ids that they became where a version was exported: a server that makes others of them, with
another release of Python or of the `tokenizers` library, would send the model what it was not trained on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import ValidationError

from fovea.contract.errors import InvalidRequest, ModelBroken
from fovea.contract.facts import Facts
from fovea.contract.model_card import GOLDEN_TEXTS_FILE
from fovea.contract.validation import first_problem
from fovea.inputs.lines_maker import LinesMaker
from fovea.inputs.text_maker import TextMaker
from fovea.inputs.tokenizer import LIBRARY

TEXTS = (
    "",
    " ",
    "The quick brown fox jumps over the lazy dog.",
    "It's 12.5 % of £3,000 -- isn't it? (e.g. a/b_c@d.org) #1 \"so\" & 'so' <b>",
    "Ångström café naïve résumé coöperate œuvre straße \u0130STANBUL \u0131\u015eIK ΣΊΣΥΦΟΣ \ufb01ne Ⅳ ½ ²",
    "e\u0301 vs é; \u1100\u1161\u11a8 vs 각; \u0958 \u212b \u2126",
    "漢字かな交じり文 한국어 Привет, мир! שלום עולם مرحبا بالعالم हिन्दी ไทย ქართული",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 ☺️ \U0001fae8 \U0001fadf \U0002ebf0",
    "tab\tnew\nline\r\nnbsp\u00a0zwsp\u200bbom\ufeffnul\0bell\a\u2028end",
    "[CLS] [SEP] [MASK] [PAD] [UNK] <s> </s> <unk> <pad>",
    "antidisestablishmentarianism" * 4 + " x" * 3,
)
"""What tokenizers are known to differ in: accents and their composed forms, capitals of other alphabets, blanks and
marks that do not show, characters that are new in Unicode, the tokens that have a meaning of their own."""


class GoldenText(Facts):
    """One text and what becomes of it."""

    text: str
    ids: tuple[int, ...]


class GoldenTexts(Facts):
    """The file."""

    made_with: dict[str, str]
    inputs: dict[str, tuple[GoldenText, ...]]


def golden_texts(makers: Mapping[str, Any]) -> str:
    """The file of a version with these makers, by input; texts that the steps refuse are left out."""
    texts = {name: tuple(_made(maker)) for name, maker in makers.items() if isinstance(maker, TextMaker | LinesMaker)}
    return GoldenTexts(made_with=_here(), inputs=texts).model_dump_json(indent=1) + "\n"


def _made(maker: TextMaker | LinesMaker) -> list[GoldenText]:
    found = []
    for text in TEXTS:
        try:
            found.append(GoldenText(text=text, ids=_ids(maker, text)))
        except InvalidRequest:
            continue
    return found


def check_golden_texts(content: str, makers: Mapping[str, Any]) -> None:
    """ModelBroken where a text becomes other ids than the file says, which it tells."""
    try:
        golden = GoldenTexts.model_validate_json(content)
    except ValidationError as error:
        problem = first_problem(error)
        raise ModelBroken(f"{GOLDEN_TEXTS_FILE}: {problem.where or 'file'}: {problem.told}") from error
    for name, texts in golden.inputs.items():
        maker = makers.get(name)
        if not isinstance(maker, TextMaker | LinesMaker):
            raise ModelBroken(f"{GOLDEN_TEXTS_FILE}: {name} is no input that takes texts")
        for text in texts:
            _check(name, maker, text, golden.made_with)


def _check(name: str, maker: TextMaker | LinesMaker, golden: GoldenText, made_with: Mapping[str, str]) -> None:
    try:
        found = str(list(_ids(maker, golden.text)))
    except InvalidRequest as error:
        found = f"nothing ({error})"
    if found != (expected := str(list(golden.ids))):
        here = _here()
        other = [f"{what} {here.get(what, 'none')}, there {made_with[what]}" for what in made_with]
        raise ModelBroken(
            f"input '{name}': the text {golden.text!a} becomes {found} here, and {expected} where it was exported: "
            f"here {', '.join(other)}"
        )


def _ids(maker: TextMaker | LinesMaker, text: str) -> tuple[int, ...]:
    """Of a text in lines, those of one line after the other; without the types."""
    row = maker.row(text.encode())
    return tuple((row[:, 0] if isinstance(maker, TextMaker) and row.ndim == 2 else row.ravel()).tolist())


def _here() -> dict[str, str]:
    """What decides how a text is read."""
    try:
        library = {LIBRARY: version(LIBRARY)}
    except PackageNotFoundError:
        library = {}
    return {"python": sys.version.split()[0], **library}
