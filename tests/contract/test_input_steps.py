"""Lists of steps that a card may have, and those that it may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fovea.contract.input_steps import InputSteps, Preprocessing

PICTURE, GREY, SCALE = {"step": "picture"}, {"step": "channels", "mode": "L"}, {"step": "scale"}
TEXT, SPLIT, VOCABULARY = {"step": "text"}, {"step": "split", "into": "words"}, {"step": "vocabulary"}
RESIZE = {"step": "resize", "height": 4, "width": 6}


def test_a_list_knows_what_becomes_of_a_picture() -> None:
    steps = InputSteps.model_validate([PICTURE, RESIZE, {"step": "crop", "height": 3, "width": 2}, GREY, SCALE])
    assert (steps.kind, steps.row_shape) == ("picture", (1, 3, 2))


def test_a_list_knows_what_becomes_of_a_text_and_the_files_that_it_needs() -> None:
    steps = InputSteps.model_validate([TEXT, {"step": "lowercase"}, SPLIT, VOCABULARY])
    assert (steps.kind, steps.row_shape, steps.files) == ("text", (-1,), ["vocabulary.txt"])


def test_a_list_for_lines_makes_rows_of_two_axes() -> None:
    filled = {**VOCABULARY, "pad": "[PAD]", "most_tokens": 9}
    steps = InputSteps.model_validate([{**TEXT, "most_lines": 4}, SPLIT, filled])
    assert (steps.kind, steps.row_shape, steps.most_lines) == ("text", (-1, -1), 4)


def test_the_short_form_is_a_list_of_steps_and_its_mean_lies_behind_what_is_transparent() -> None:
    short = Preprocessing(mode="RGB", height=4, width=6, mean=(0.5, 0.4, 0.3), std=(1.0, 1.0, 1.0))
    assert short.steps.model_dump() == (
        {"step": "picture", "background": (128, 102, 76)},
        {"step": "channels", "mode": "RGB"},
        {"step": "resize", "height": 4, "width": 6, "filter": "bilinear", "fit": "stretch"},
        {"step": "scale", "divisor": 255.0},
        {"step": "normalise", "mean": (0.5, 0.4, 0.3), "std": (1.0, 1.0, 1.0)},
    )


@pytest.mark.parametrize(
    ("listed", "problem"),
    [
        ([], "at least 1 item"),
        ([GREY, RESIZE, SCALE], "expected picture or text as the first step, found channels"),
        ([PICTURE, GREY, SCALE, RESIZE], "step resize takes picture, and scale before it gives pixels"),
        ([PICTURE, GREY, RESIZE], "the last step, resize, gives picture, expected pixels"),
        ([PICTURE, RESIZE, SCALE], "expected one step channels, found 0"),
        ([PICTURE, GREY, SCALE], "expected a step resize"),
        ([PICTURE, GREY, {"step": "crop", "height": 2, "width": 2}, SCALE], "a crop must be within"),
        ([PICTURE, GREY, RESIZE, {"step": "crop", "height": 5, "width": 2}, SCALE], "a crop must be within"),
        ([PICTURE, GREY, RESIZE, SCALE, {"step": "normalise", "mean": [0, 0], "std": [1, 1]}], "1 value"),
        ([PICTURE, GREY, RESIZE, SCALE, {"step": "normalise", "mean": [0], "std": [0]}], "greater than 0"),
        ([PICTURE, GREY, {**RESIZE, "height": 100_000}, SCALE], "less than or equal to 65535"),
        ([{"step": "paint"}], "paint"),
        ([TEXT, VOCABULARY], "step vocabulary takes tokens, and text before it gives text"),
        ([TEXT, SPLIT], "the last step, split, gives tokens, expected ids"),
        ([{**TEXT, "most_lines": 4}, SPLIT, {**VOCABULARY, "pad": "[PAD]"}], "most_lines needs pad and most_tokens"),
        ([{**TEXT, "most_lines": 4}, SPLIT, {**VOCABULARY, "most_tokens": 9}], "most_lines needs pad and most_tokens"),
        ([TEXT, RESIZE], "step resize takes picture, and text before it gives text"),
        ([TEXT, SPLIT, {**VOCABULARY, "file": "../words.txt"}], "file"),
        ([PICTURE, GREY, RESIZE, SCALE, *[{"step": "normalise", "mean": [0], "std": [1]}] * 20], "at most 16"),
    ],
)
def test_steps_that_do_not_fit_are_refused(listed: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        InputSteps.model_validate(listed)
