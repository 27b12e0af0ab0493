"""A tokenizer in a version's folder gives the ids that its library gives, and no text is cut in silence."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from fovea.contract.errors import InvalidRequest, ModelBroken
from fovea.contract.input_steps import InputSteps
from fovea.inputs.golden_texts import check_golden_texts, golden_texts
from fovea.inputs.spans import Piece
from fovea.inputs.text_maker import TextMaker, data_mask
from fovea.inputs.text_steps import MAX_TEXT_BYTES
from tokenizers_for_tests import bytes_in_pairs, plain, word_pieces

KINDS: dict[str, Callable[[], Tokenizer]] = {"word pieces": word_pieces, "bytes": bytes_in_pairs}


def maker(tokenizer: Tokenizer | str, **facts: Any) -> TextMaker:
    content = tokenizer if isinstance(tokenizer, str) else tokenizer.to_str()
    steps = InputSteps.model_validate([{"step": "text"}, {"step": "tokenizer", **facts}])
    return TextMaker(steps, {"tokenizer.json": content}.__getitem__)


def fuzzed(count: int) -> list[str]:
    """Texts of every part of Unicode, marks, blanks, NUL and unassigned characters with them."""
    draw = np.random.default_rng(0)
    planes = [(0, 0x80), (0, 0x250), (0x300, 0x370), (0x370, 0x3000), (0x3000, 0xD800), (0xE000, 0x30000)]
    texts = []
    for _ in range(count):
        first, last = planes[draw.integers(len(planes))]
        letters = draw.integers(first, last, draw.integers(0, 24))
        mixed = np.where(draw.random(len(letters)) < 0.3, draw.integers(0, 0x80, len(letters)), letters)
        texts.append("".join(map(chr, mixed.tolist())))
    return texts


@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_texts_of_all_of_unicode_become_the_ids_that_the_library_gives(kind: str) -> None:
    ours, theirs, compared = maker(KINDS[kind]()), plain(KINDS[kind]()), 0
    for text in fuzzed(10_000):
        expected = theirs.encode(text).ids
        if expected:
            assert ours.row(text.encode()).tolist() == expected, ascii(text)
            compared += 1
    assert compared > 9_000


def test_pairs_become_the_ids_and_types_that_the_library_gives() -> None:
    ours, theirs = maker(word_pieces(), pairs=True, types="types", pad="[PAD]"), plain(word_pieces())
    texts = fuzzed(400)
    for first, second in zip(texts[::2], texts[1::2], strict=True):
        encoded = theirs.encode(first, second)
        row = ours.row(first.encode(), second=second.encode())
        assert row.tolist() == list(map(list, zip(encoded.ids, encoded.type_ids, strict=True)))
    rows = [ours.row(b"the fox", second=b"a dog"), ours.row(b"a")]
    assert ours.joined(rows)[..., 1].tolist() == [rows[0][:, 1].tolist(), [0] * len(rows[0])]


@pytest.mark.parametrize("text", ["", " ", "\0", "a\0b", "The fox " * 400])
def test_an_empty_text_one_of_nul_and_a_long_one_become_what_the_library_makes_of_them(text: str) -> None:
    assert maker(word_pieces()).row(text.encode()).tolist() == plain(word_pieces()).encode(text).ids


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"caf\xe9", "expected UTF-8, and byte 3 is none"),
        (b"\xed\xa0\x80", "expected UTF-8, and byte 0 is none"),
        (b"a b c d e f g", "a text of 9 tokens is above the limit of 8"),
        (b"a" * (MAX_TEXT_BYTES + 1), f"a text of 65537 bytes is above the limit of {MAX_TEXT_BYTES}"),
    ],
)
def test_what_is_no_text_or_too_long_is_refused_with_the_limit_and_never_cut(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        maker(word_pieces(), most_tokens=8).row(data)


def test_where_the_library_adds_no_token_an_empty_text_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="an empty text"):
        maker(bytes_in_pairs()).row(b"")


def test_short_texts_are_filled_up_with_the_pad_token_alone() -> None:
    ours = maker(word_pieces(), pad="[PAD]")
    rows = [ours.row(b"the fox"), ours.row(b"")]
    np.testing.assert_array_equal(ours.joined(rows)[1], [2, 3] + [0] * (len(rows[0]) - 2))
    np.testing.assert_array_equal(data_mask(rows)[1], [True] * 2 + [False] * (len(rows[0]) - 2))


def test_tokens_come_with_their_characters_each_of_its_own_text() -> None:
    first, second = "Naïve", "\U0001f600 dog"
    pieces = maker(word_pieces(), pairs=True).pieces(first.encode(), second.encode())
    assert [pieces[0], pieces[-1]] == [Piece("[CLS]"), Piece("[SEP]")]
    of_first, of_second = ([piece.span for piece in pieces if piece.text == text] for text in (0, 1))
    assert "".join(first[slice(*span)] for span in of_first) == first
    assert "".join(second[slice(*span)] for span in of_second) == second.replace(" ", "")


@pytest.mark.parametrize(
    ("content", "facts", "problem"),
    [
        ("no JSON", {}, "tokenizer.json: tokenizers: expected"),
        ("{}", {}, "tokenizer.json: tokenizers: Model missing"),
        (None, {"pad": "<pad>"}, "tokenizer.json lacks the token '<pad>', which the card names"),
    ],
)
def test_a_file_that_does_not_do_is_the_models_fault(content: str | None, facts: dict[str, str], problem: str) -> None:
    with pytest.raises(ModelBroken, match=problem):
        maker(content or word_pieces(), **facts)


def test_without_the_library_the_model_is_not_served_and_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    content = word_pieces().to_str()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ModelBroken, match=r"tokenizer\.json needs the package tokenizers, which is not installed here"):
        maker(content)


@pytest.mark.parametrize("kind", KINDS)
def test_golden_texts_hold_where_they_were_made(kind: str) -> None:
    makers = {"tokens": maker(KINDS[kind](), types="types")}
    content = golden_texts(makers)
    check_golden_texts(content, makers)
    assert len(json.loads(content)["inputs"]["tokens"]) >= 10


def test_a_tokenizer_that_gives_other_ids_than_where_it_was_exported_is_not_served_and_the_text_is_told() -> None:
    there, here = word_pieces(), json.loads(word_pieces().to_str())
    here["normalizer"]["strip_accents"] = False
    content = golden_texts({"tokens": maker(there)})
    ids = r"\[2, [0-9, ]+\]"
    problem = rf"the text '\\xc5ngstr.*' becomes {ids} here, and {ids} where it was exported: here python"
    with pytest.raises(ModelBroken, match=problem):
        check_golden_texts(content, {"tokens": maker(json.dumps(here))})
