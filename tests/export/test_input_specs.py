"""What an input of a module may be, by the table of datatypes."""

from __future__ import annotations

import numpy as np
import pytest

from fovea.contract.datatypes import DATATYPES, Kind
from fovea.contract.errors import ExportFailed
from fovea.contract.lengths import LengthSpec
from fovea.export.input_specs import lengths_of, parse_input

WHOLE = [np.dtype(facts.numpy).name for facts in DATATYPES.values() if facts.kind in (Kind.INTEGER, Kind.BOOLEAN)]


@pytest.mark.parametrize("dtype", ["float32", *WHOLE])
def test_an_input_is_of_any_whole_number_truth_or_float32(dtype: str) -> None:
    assert parse_input(f"x=1x4:{dtype}").dtype == dtype


@pytest.mark.parametrize("dtype", ["float16", "float64", "str", "complex64"])
def test_another_dtype_is_refused_with_those_that_there_are(dtype: str) -> None:
    with pytest.raises(ExportFailed, match=f"dtype {dtype} is none of float32, bool, uint8"):
        parse_input(f"x=1x4:{dtype}")


PAIR = [parse_input(text) for text in ("src=1xS:int64", "seen=1xS:bool", "tgt=1xTarget:int64", "bias=1xTargetxSx2")]


def test_words_in_shapes_are_lengths_by_name_with_their_masks_and_buckets() -> None:
    lengths = lengths_of(PAIR, ["seen"], ["Target=4,8"])
    assert lengths == {
        "S": LengthSpec(inputs={"src": 1, "bias": 2}, mask="seen"),
        "Target": LengthSpec(inputs={"tgt": 1, "bias": 1}, buckets=(4, 8)),
    }


def test_buckets_without_a_name_are_of_the_only_length() -> None:
    assert lengths_of([parse_input("tokens=1xT:int64")], [], ["4,8"])["T"].buckets == (4, 8)
    assert lengths_of([parse_input("x=1x4")], [], []) == {}


@pytest.mark.parametrize(
    ("masks", "buckets", "told"),
    [
        (["bias"], [], "mask bias is no input with a length"),
        (["seen", "src"], [], "masks seen and src are both of length S, which has one"),
        ([], ["4,8"], "buckets 4,8 need one of the lengths S, Target"),
        ([], ["T=4,8"], "buckets T=4,8 need one of the lengths S, Target"),
        ([], ["S=8,x"], "buckets are given as 16,32 or, where there are several lengths, as T=16,32, not 'S=8,x'"),
        ([], ["S=8,4"], r"length S: buckets must ascend, \[8, 4\] do not"),
    ],
)
def test_masks_and_buckets_that_fit_no_length_are_told(masks: list[str], buckets: list[str], told: str) -> None:
    with pytest.raises(ExportFailed, match=told):
        lengths_of(PAIR, masks, buckets)


@pytest.mark.parametrize("shape", ["1xtext", "1xText", "1x", "Tx4"])
def test_a_name_that_cannot_be_told_from_sizes_is_refused(shape: str) -> None:
    with pytest.raises(ExportFailed, match="a length's name begins with a capital letter and has no x"):
        parse_input(f"tokens={shape}")


@pytest.mark.parametrize("buckets", ["8,-2", "8,,16", "T=", "=8"])
def test_buckets_that_are_no_numbers_are_refused_with_their_form(buckets: str) -> None:
    with pytest.raises(ExportFailed, match=f"buckets are given as 16,32 or, .* not '{buckets}'"):
        lengths_of([parse_input("x=1xT:int64")], [], [buckets])
