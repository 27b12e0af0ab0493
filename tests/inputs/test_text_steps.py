"""The steps that make token ids of texts."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fovea.contract.errors import InvalidRequest, ModelBroken
from fovea.contract.input_steps import InputSteps
from fovea.contract.step_kinds import Split, Step
from fovea.inputs.spans import Piece, origins
from fovea.inputs.text_maker import TextMaker, data_mask
from fovea.inputs.text_steps import MAX_TEXT_BYTES, MOST_MARKS, ON_TEXTS, changed, split

WORDS = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\ncafe\n,\nis\nopen\n"
EVERY = ({"step": "unicode", "form": "NFKC"}, {"step": "strip_accents"}, {"step": "lowercase"})
SPECIAL = {"unknown": "[UNK]", "start": "[CLS]", "end": "[SEP]", "pad": "[PAD]"}


def steps(*more: Mapping[str, Any], into: str = "words", **vocabulary: Any) -> InputSteps:
    listed = [{"step": "text"}, *more, {"step": "split", "into": into}, {"step": "vocabulary", **vocabulary}]
    return InputSteps.model_validate(listed)


def tokens_of(text: str, steps: InputSteps) -> list[str]:
    (splitting,) = steps.of(Split)
    return split(changed(text, steps), splitting)


def maker(*more: Mapping[str, Any], content: str = WORDS, **vocabulary: Any) -> TextMaker:
    return TextMaker(steps(*more, **vocabulary), {vocabulary.get("file", "vocabulary.txt"): content}.__getitem__)


@pytest.mark.parametrize(
    ("change", "text", "becomes"),
    [
        ({"step": "lowercase"}, "The CAFÉ", ["the", "café"]),
        ({"step": "strip_accents"}, "Café naïve", ["Cafe", "naive"]),
        ({"step": "unicode", "form": "NFKC"}, "\ufb01ne \uff21\uff22", ["fine", "AB"]),
        ({"step": "unicode", "form": "NFC"}, "cafe\u0301", ["caf\u00e9"]),
    ],
)
def test_a_text_is_normalised_as_its_card_says(change: dict[str, str], text: str, becomes: list[str]) -> None:
    assert tokens_of(text, steps(change)) == becomes


@pytest.mark.parametrize(
    ("into", "tokens"),
    [("words", ["It", "'", "s", "12", "°", "C", "."]), ("characters", list("It's 12\u00a0°C."))],
)
def test_a_text_is_split_into_words_and_marks_or_into_characters(into: str, tokens: list[str]) -> None:
    assert tokens_of("It's 12\u00a0°C.", steps(into=into)) == tokens


def test_tokens_become_their_places_in_the_vocabulary_between_start_and_end() -> None:
    row = maker({"step": "lowercase"}, **SPECIAL).row(b"The cafe, shut")
    assert (row.dtype, row.tolist()) == (np.int64, [2, 4, 5, 6, 1, 3])


def test_a_vocabulary_in_json_may_have_any_character() -> None:
    lines = maker(content='["a", "\\n"]', file="tokens.json", into="characters")
    assert lines.row(b"a\na").tolist() == [0, 1, 0]


def test_short_texts_are_filled_up_with_the_pad_token_and_the_mask_tells_where() -> None:
    words = maker(unknown="[UNK]", pad="[PAD]")
    rows = [words.row(text) for text in (b"the cafe is open", b"open", b"is open")]
    np.testing.assert_array_equal(words.joined(rows), [[4, 5, 7, 8], [8, 0, 0, 0], [7, 8, 0, 0]])
    np.testing.assert_array_equal(data_mask(rows), [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]])


def test_without_a_pad_token_texts_of_one_length_only_are_joined() -> None:
    words = maker()
    assert words.joined([words.row(b"the cafe"), words.row(b"is open")]).tolist() == [[4, 5], [7, 8]]
    with pytest.raises(InvalidRequest, match="texts of different lengths"):
        words.joined([words.row(b"the cafe"), words.row(b"open")])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Cafe\u0301 is", [("the", "The"), ("cafe", "Cafe\u0301"), ("is", "is")]),
        ("\ufb01ne CAF\u00c9!", [("fine", "\ufb01ne"), ("cafe", "CAF\u00c9"), ("!", "!")]),
        ("\u0130X \u03a3\u03a3", [("ix", "\u0130X"), ("\u03c3\u03c2", "\u03a3\u03a3")]),
        ("x\u00bd", [("x1", "x\u00bd"), ("\u2044", "\u00bd"), ("2", "\u00bd")]),
    ],
)
def test_a_token_tells_which_characters_of_the_callers_text_it_is(text: str, found: list[tuple[str, str]]) -> None:
    start, *pieces, end = maker(*EVERY, **SPECIAL).pieces(text.encode())
    assert [(piece.token, text[slice(*piece.span)]) for piece in pieces] == found
    assert (start, end) == (Piece("[CLS]"), Piece("[SEP]"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"caf\xe9 is open", "expected UTF-8, and byte 3 is none"),
        (b"", "an empty text"),
        (b" \n\t ", "a text without any token"),
        (b"the cafe is open , is open", "a text of 7 tokens is above the limit of 6"),
        (b"the cafe is shut", "the model does not know the token 'shut'"),
        (b"x" * 100, "the token '" + "x" * 40 + "'"),
        (b"a" * (MAX_TEXT_BYTES + 1), f"a text of 65537 bytes is above the limit of {MAX_TEXT_BYTES}"),
    ],
)
def test_a_text_that_cannot_be_had_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        maker(most_tokens=6).row(data)


@pytest.mark.parametrize("change", [{"step": "strip_accents"}, {"step": "unicode", "form": "NFKC"}], ids=str)
@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0f73", "\uff9e\u0301"], ids=ascii)
def test_marks_without_end_on_one_letter_are_refused_before_they_cost_time(change: dict[str, str], marks: str) -> None:
    whole = steps(change, into="characters")
    assert tokens_of(("a" + marks * (MOST_MARKS // len(marks))) * 9, whole)
    start_s = time.thread_time()
    with pytest.raises(InvalidRequest, match="more than 30 combining marks in a row"):
        tokens_of("a" + marks * (MAX_TEXT_BYTES // 6), whole)
    assert time.thread_time() - start_s < 0.1


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.sampled_from(["words", "characters"]))
def test_whatever_bytes_are_sent_they_are_tokens_or_refused_in_plain_words(data: bytes, into: str) -> None:
    reason, row = "", np.array([2, 0, 3])
    try:
        row = maker(*EVERY, into=into, **SPECIAL).row(data)
    except InvalidRequest as error:
        reason = str(error)
    assert reason in ("", "an empty text", "a text without any token") or reason.startswith("expected UTF-8, and byte")
    assert (row.dtype, row[0], row[-1], len(row) > 2) == (np.int64, 2, 3, True)


@pytest.mark.parametrize(
    ("content", "more", "problem"),
    [
        ("a\nb\na\n", {}, "a token is in it twice"),
        ("a\nb\n", {"unknown": "[UNK]"}, "lacks the token '\\[UNK\\]', which the card names"),
        ("a\nb\n", {"pad": "<pad>"}, "lacks the token '<pad>'"),
        ("no list", {"file": "tokens.json"}, "no JSON"),
        ("\n" * 1_000_001, {}, "1000001 tokens, expected at most 1000000"),
        ("[1, 2]", {"file": "tokens.json"}, "expected a list of texts"),
        ("[" * 100_000, {"file": "tokens.json"}, "no JSON"),
    ],
)
def test_a_vocabulary_that_does_not_do_is_the_models_fault(content: str, more: dict[str, str], problem: str) -> None:
    with pytest.raises(ModelBroken, match=problem):
        maker(content=content, **more)


def test_every_step_between_a_text_and_a_text_has_its_function() -> None:
    known = {kind for kind in get_args(get_args(Step)[0]) if (kind.takes, kind.gives) == ("text", "text")}
    assert set(ON_TEXTS) == known


def test_a_mark_that_disappears_stays_with_its_letter() -> None:
    split_up = TextMaker(steps({"step": "strip_accents"}, into="characters"), lambda _: "e\nx\n")
    assert split_up.pieces("e\u0301x".encode()) == [Piece("e", (0, 2)), Piece("x", (2, 3))]


def test_ten_thousand_marks_that_disappear_are_traced_at_once() -> None:
    asked = 0

    def without_joiners(text: str) -> str:
        nonlocal asked
        asked += len(text)
        return text.replace("\u034f", "")

    assert origins("a" + 10_000 * "\u034f" + "b", without_joiners) == [(0, 10_001), (10_001, 10_002)]
    assert asked < 60_000


@given(st.text(alphabet="a\u00e9\u0301\u0345\u0323\u1eaf b", max_size=12), st.sampled_from(["NFC", "NFD", "NFKC"]))
def test_every_letter_of_a_changed_text_has_an_origin(text: str, form: str) -> None:
    def change(part: str) -> str:
        return unicodedata.normalize(form, part)

    found = origins(text, change)
    assert len(found) == len(change(text))
    assert all(0 <= first < last <= len(text) for first, last in found)


def test_a_mark_that_joins_a_letter_across_another_moves_no_other_letters_origin() -> None:
    found = origins("a\u0345\u0301bcd", lambda part: unicodedata.normalize("NFC", part))
    assert found[-3:] == [(3, 4), (4, 5), (5, 6)]
