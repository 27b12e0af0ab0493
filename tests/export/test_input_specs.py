"""What an input of a module may be, by the table of datatypes."""

from __future__ import annotations

import numpy as np
import pytest

from fovea.contract.datatypes import DATATYPES, Kind
from fovea.contract.errors import ExportFailed
from fovea.export.input_specs import lengths_of, parse_input

WHOLE = [np.dtype(facts.numpy).name for facts in DATATYPES.values() if facts.kind in (Kind.WHOLE, Kind.TRUTH)]


@pytest.mark.parametrize("dtype", ["float32", *WHOLE])
def test_an_input_is_of_any_whole_number_truth_or_float32(dtype: str) -> None:
    assert parse_input(f"x=1x4:{dtype}").dtype == dtype


@pytest.mark.parametrize("dtype", ["float16", "float64", "str", "complex64"])
def test_another_dtype_is_refused_with_those_that_there_are(dtype: str) -> None:
    with pytest.raises(ExportFailed, match=f"dtype {dtype} is none of float32, bool, uint8"):
        parse_input(f"x=1x4:{dtype}")


@pytest.mark.parametrize("buckets", ["8,-2", "8,,16", "T=", "=8"])
def test_buckets_that_are_no_numbers_are_refused_with_their_form(buckets: str) -> None:
    with pytest.raises(ExportFailed, match=f"buckets are given as 16,32 or, .* not '{buckets}'"):
        lengths_of([parse_input("x=1xT:int64")], [], [buckets])
