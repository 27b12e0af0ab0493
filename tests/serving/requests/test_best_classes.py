"""The best classes of an output."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fovea.serving.requests.best_classes import best_classes, best_indices

SCORES = st.sampled_from([-math.inf, -1.5, 0.0, -0.0, 2.0, math.inf, math.nan])


@given(st.lists(SCORES, min_size=1, max_size=12), st.integers(1, 14))
def test_the_best_come_first_ties_in_order_and_what_is_no_number_last(scores: list[float], top: int) -> None:
    def place(index: int) -> tuple[bool, float, int]:
        missing = math.isnan(scores[index])
        return (missing, 0.0 if missing else -scores[index], index)

    expected = sorted(range(len(scores)), key=place)[:top]
    assert best_indices(np.array(scores), top).tolist() == expected


def test_integers_and_half_precision_are_ranked_too() -> None:
    assert best_indices(np.array([3, 250, 7], np.uint8), 2).tolist() == [1, 2]
    assert best_indices(np.array([0.5, 65504, -1], np.float16), 1).tolist() == [1]


def test_texts_tell_score_index_and_label_where_there_is_one() -> None:
    scores = np.array([[0.25, 0.5, 0.125]], np.float32)
    assert best_classes(scores, 3, ["cat", "dog"], by_row=True).tolist() == [
        [b"0.500000:1:dog", b"0.250000:0:cat", b"0.125000:2"]
    ]
    assert best_classes(scores[0], 1, [], by_row=False).tolist() == [b"0.500000:1"]


def test_an_integer_is_told_as_one() -> None:
    scores = np.array([[7, 2**24 + 1, -3]], np.int64)
    assert best_classes(scores, 3, [], by_row=True).tolist() == [[b"16777217:1", b"7:0", b"-3:2"]]
