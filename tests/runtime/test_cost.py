"""What follows from what batches cost: how large they should be, how long to wait for them."""

import pytest

from fovea.runtime.cost import BATCH_OVERHEAD_S, BatchCost, worthwhile_batch_rows


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 2.0, 4: 4.0}, 4),
        ({1: 1.0, 2: 2.1, 4: 4.8}, 1),
        ({1: 1.0, 2: 1.5, 4: 2.0, 8: 4.1, 16: 9.0}, 8),
        ({1: 1.0, 2: 2.2, 4: 3.9}, 4),
        ({1: 1.0, 2: 2.02, 4: 4.04}, 1),
    ],
)
def test_largest_batch_that_costs_no_more_per_row_is_worthwhile(curve, expected):
    assert worthwhile_batch_rows(curve, curve[1]) == expected


def test_a_quick_model_is_batched_although_its_rows_gain_nothing():
    tiny_s = BATCH_OVERHEAD_S
    assert worthwhile_batch_rows({1: tiny_s, 2: 2.1 * tiny_s, 4: 4.2 * tiny_s}, tiny_s) == 4


def test_padding_must_be_earned():
    """Rows of bucket 16 take 10 alone and 16 in it: together they would have to save more than a third."""
    linear = BatchCost({(8,): {1: 8.0, 4: 32.0}, (16,): {1: 16.0, 4: 60.0}})
    assert linear.worthwhile_rows((16,)) == 1
    saving = BatchCost({(8,): {1: 8.0, 4: 32.0}, (16,): {1: 16.0, 4: 40.0}})
    assert saving.worthwhile_rows((16,)) == 4


def test_seconds_lie_on_lines_between_what_was_measured():
    cost = BatchCost({(): {1: 1.0, 4: 2.5, 8: 6.0}})
    assert [cost.seconds((), rows) for rows in (1, 2, 4, 6, 16)] == pytest.approx([1.0, 1.5, 2.5, 4.25, 12.0])


def test_of_what_was_not_measured_nothing_is_known():
    assert BatchCost({(8,): {1: 1.0}}).seconds((16,), 1) is None
    assert BatchCost().seconds((), 1) is None


def test_waiting_pays_as_long_as_two_together_save():
    assert BatchCost({(): {1: 1.0, 2: 1.4}}).worthwhile_delay_s() == pytest.approx(0.6)
    assert BatchCost({(): {1: 1.0, 2: 2.4}}).worthwhile_delay_s() == 0.0
    assert BatchCost().worthwhile_delay_s() == 0.0


def test_batches_as_large_as_those_that_ran_are_warm():
    cost = BatchCost({(8,): {1: 1.0, 4: 2.0}, (16,): {1: 1.0}})
    assert [cost.warmed((length,), 3) for length in (8, 16, 32)] == [True, False, False]


GRID = BatchCost(
    {(s, t): {1: s * t * 1.0, 4: s * t * (0.9 if s == 8 else 4.5)} for s in (8, 16) for t in (4, 12)},
    ("source", "target"),
)


def test_lengths_between_measured_ones_cost_what_the_next_larger_do():
    assert GRID.seconds((8, 6), 1) == GRID.seconds((8, 12), 1) == 96
    assert GRID.seconds((12, 4), 1) == 64
    assert GRID.seconds((17, 4), 1) is None
    assert GRID.seconds((8, 13), 1) is None


def test_each_pair_of_lengths_has_its_own_largest_batch_and_those_beyond_have_that_of_the_largest():
    assert [GRID.worthwhile_rows(lengths) for lengths in ((8, 4), (8, 9), (16, 12), (99, 99), (8, 99))] == [
        4,
        4,
        1,
        1,
        4,
    ]
    assert BatchCost().worthwhile_rows((8, 4)) is None


def test_padding_along_two_lengths_must_be_earned_along_both():
    """Rows of the larger buckets take 0.75 and two thirds of a full one alone: together they must save a half."""
    curves = {(s, t): {1: s * t * 1.0, 4: s * t * 2.2} for s in (8, 16) for t in (4, 12)}
    assert BatchCost(curves, ("source", "target")).worthwhile_rows((16, 12)) == 1
    assert (
        BatchCost({lengths: {1: curve[1], 4: 0.8 * curve[4]} for lengths, curve in curves.items()}).worthwhile_rows(
            (16, 12)
        )
        == 4
    )


def test_costs_of_several_lengths_bear_their_names():
    assert GRID.facts()[1]["lengths"] == {"source": 8, "target": 12}
    assert GRID.words((8, 12)) == "source=8,target=12"
    assert BatchCost({(8,): {1: 1.0}}, ("tokens",)).facts()[0]["length"] == 8
    assert "length" not in BatchCost({(): {1: 1.0}}).facts()[0]


def test_lengths_that_cannot_be_run_together_cost_nobody_knows_what():
    cost = BatchCost({(8, 4): {1: 1.0}, (16, 12): {1: 2.0}}, ("source", "target"))
    assert cost.seconds((16, 4), 1) is None
    assert cost.worthwhile_rows((16, 4)) is None
