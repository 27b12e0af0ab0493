"""An attention map between words as a matrix."""

from __future__ import annotations

import numpy as np
import pytest

from fovea.cli.word_matrix import drawn, matrix_of, words_of
from fovea.contract.errors import InvalidRequest, Unsupported

HEADS = np.stack([np.eye(3), np.full((3, 3), 1 / 3)])


def test_the_matrix_is_the_mean_of_the_heads_or_one_of_them() -> None:
    np.testing.assert_allclose(matrix_of(HEADS, None), HEADS.mean(axis=0))
    np.testing.assert_allclose(matrix_of(HEADS, 1), HEADS[1])
    np.testing.assert_allclose(matrix_of(HEADS[0], None), HEADS[0])


def test_a_head_or_a_map_that_is_none_of_words_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="--head 2: the layer has 2, counted from 0"):
        matrix_of(HEADS, 2)
    with pytest.raises(Unsupported, match="none between the words"):
        matrix_of(HEADS[:, :2], None)


def test_words_are_the_callers_own_and_what_was_added_is_the_token() -> None:
    spans = np.array([[0, 0], [0, 3], [3, 5], [0, 0]])
    assert words_of("Cafés", [b"[CLS]", b"caf", b"##es", b"[SEP]"], spans) == ["[CLS]", "Caf", "és", "[SEP]"]


def test_what_is_attended_most_is_the_brightest_cell_of_its_row_and_column() -> None:
    matrix = np.zeros((3, 3))
    matrix[2, 0] = 1.0
    light = np.asarray(drawn(matrix, ["a", "b", "c"], ["a", "b", "c"]).convert("L"), int)
    row, column = (light.shape[0] - 6 - 11, light.shape[1] - 6 - 2 * 22 - 11)
    assert light[row, column] > 200
    assert light[row - 22, column] == light[row, column + 22] < 20


def test_a_matrix_that_nobody_could_read_is_refused() -> None:
    with pytest.raises(Unsupported, match="200 rows"):
        drawn(np.zeros((200, 200)), ["a"] * 200, ["a"] * 200)


def test_a_columns_word_stands_above_it_and_a_rows_word_beside_it() -> None:
    dark = np.asarray(drawn(np.zeros((2, 2)), ["i", "wwwwwwww"], ["i", "wwwwwwww"]).convert("L")) < 128
    margin = dark.shape[0] - 6 - 2 * 22
    above, beside = dark[:margin, margin:-6], dark[margin:-6, :margin]
    assert above[:, 22:].sum() > 5 * above[:, :22].sum() > 0
    assert beside[22:].sum() > 5 * beside[:22].sum() > 0
    assert above[margin // 2 :, :22].any()
    assert not above[: margin // 2, :22].any()
