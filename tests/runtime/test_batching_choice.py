"""Who asks for batches is believed wherever they can be run; nobody else gets them where rows may be mixed."""

from __future__ import annotations

import pytest

from fovea.contract.lengths import LengthSpec
from fovea.runtime.batching_choice import Wanted, Wish, choose_batching, choose_padding
from fovea.runtime.row_verdicts import RowVerdict

APART = RowVerdict("apart")
SEEN = {seen: RowVerdict(seen, "of what was seen") for seen in ("mixed", "unknown", "impossible", "untried")} | {
    "apart": APART
}


@pytest.mark.parametrize(
    ("wish", "seen", "batched"),
    [
        ("asked", "apart", True),
        ("asked", "mixed", True),
        ("asked", "unknown", True),
        ("asked", "impossible", False),
        ("said", "apart", True),
        ("said", "mixed", False),
        ("said", "unknown", False),
        ("said", "untried", True),
        ("unsaid", "apart", True),
        ("unsaid", "mixed", False),
        ("unsaid", "impossible", False),
        ("none", "apart", False),
    ],
)
def test_batches_are_made_where_they_change_no_answer_or_are_asked_for(wish: Wish, seen: str, batched: bool) -> None:
    choice = choose_batching(Wanted(wish, "model.toml"), SEEN[seen])
    assert choice.batched == batched
    assert bool(choice.reason) == (not batched or seen != "apart")
    assert ("of what was seen" in choice.reason) == (seen != "apart" and wish != "none")


def test_lengths_that_model_toml_names_are_no_word_on_batches() -> None:
    choice = choose_batching(Wanted("said"), SEEN["untried"])
    assert choice.reason.startswith("not batched: of what was seen")


@pytest.mark.parametrize(
    ("said", "harm", "asked", "padded", "told"),
    [
        (True, "", False, True, ""),
        (True, "it changes y", False, False, "only requests of the same length 'source' share batches: it changes y"),
        (True, "it changes y", True, True, "padded since model.toml says padded = true, although it changes y"),
        (False, "", False, False, "its card says padded = false"),
        (False, "", True, False, "model.toml says padded = false"),
    ],
)
def test_lengths_are_padded_where_that_changes_no_answer_or_is_asked_for(
    said: bool, harm: str, asked: bool, padded: bool, told: str
) -> None:
    found, reason = choose_padding("source", LengthSpec(inputs={"x": 1}, padded=said), harm, asked=asked)
    assert found == padded
    assert told in reason
    assert bool(reason) == bool(told)
