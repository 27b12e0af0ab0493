"""Texts whose lines stand by themselves."""

from __future__ import annotations

import pytest

from fovea.contract.errors import InvalidRequest
from fovea.contract.input_steps import InputSteps
from fovea.inputs.makers import maker_of

STEPS = InputSteps.model_validate(
    [
        {"step": "text", "most_lines": 3},
        {"step": "lowercase"},
        {"step": "split", "into": "words"},
        {"step": "vocabulary", "unknown": "[PAD]", "pad": "[PAD]", "most_tokens": 4},
    ]
)
MAKER = maker_of(STEPS, lambda _: "[PAD]\nparis\nis\na\ncity\n")


def row(text: str) -> list[list[int]]:
    rows: list[list[int]] = MAKER.row(text.encode(), None).tolist()  # type: ignore[arg-type]
    return rows


def test_each_line_is_a_row_of_ids_filled_up_to_the_longest() -> None:
    assert row("Paris is a city\n\n  \na city") == [[1, 2, 3, 4], [3, 4, 0, 0]]


def test_texts_are_filled_up_along_both_axes() -> None:
    joined = MAKER.joined([MAKER.row(text, None) for text in (b"paris\na", b"a city")])  # type: ignore[arg-type]
    assert joined.tolist() == [[[1, 0], [3, 0]], [[3, 4], [0, 0]]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "without any line"),
        (" \n ", "without any line"),
        ("a\na\na\na", "4 lines is above the limit of 3"),
        ("a\na a a a a", "line 2: a text of 5 tokens is above the limit of 4"),
    ],
)
def test_what_is_too_much_or_nothing_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        row(text)
