"""The lengths that a module can run, found by trying a few of them."""

import pytest

from fovea.contract.lengths import DEFAULT_BUCKETS
from fovea.export.length_range import ANY_LENGTH, LengthRange, length_range


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (lambda _: True, ANY_LENGTH),
        (lambda length: length <= 64, LengthRange(longest=64)),
        (lambda length: length <= 70, LengthRange(longest=70)),
        (lambda length: length <= 512, LengthRange(longest=512)),
        (lambda length: length <= 5, ANY_LENGTH),  # below every bucket: the module tells by itself what is wrong
        (lambda length: length >= 400, LengthRange(shortest=400)),
        (lambda length: 10 <= length <= 100, LengthRange(10, 100)),
        (lambda length: length % 2 == 0, LengthRange(shortest=8)),
        (lambda _: False, ANY_LENGTH),
    ],
)
def test_the_limits_are_those_of_the_module(runs, expected):
    assert length_range(runs, DEFAULT_BUCKETS) == expected


def test_a_limit_at_the_last_bucket_is_seen_by_one_more_step():
    assert length_range(lambda length: length <= 64, (16, 64)) == LengthRange(longest=64)


def test_a_module_that_takes_multiples_only_has_no_limit_for_that():
    assert length_range(lambda length: length % 64 == 0, (64, 128)).longest is None


def test_buckets_are_kept_within_the_limits():
    assert LengthRange(10, 100).buckets((8, 16, 64, 128)) == (16, 64, 100)
    assert LengthRange(longest=64).buckets((16, 64)) == (16, 64)
    assert LengthRange(shortest=400).buckets((8, 16)) == (400,)
