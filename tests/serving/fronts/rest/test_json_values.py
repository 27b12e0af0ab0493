"""How much JSON an output takes: never more than is said before it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fovea.serving.fronts.rest.json_values import most_json_bytes, to_json

RANDOM = np.random.default_rng(0)
ARRAYS: dict[str, Any] = {
    "float32": (RANDOM.standard_normal(1000) * 10.0 ** RANDOM.integers(-40, 38, 1000)).astype(np.float32),
    "float64": -(10.0 ** RANDOM.uniform(-307, 308, 1000)),
    "whole floats": RANDOM.integers(-(10**9), 10**6, 1000).astype(np.float64),
    "zeros": np.array([0.0, -0.0] * 500, np.float32),
    "not finite": np.array([np.nan, np.inf, -np.inf], np.float32),
    "large whole floats": np.array([1e15, -1e22, 1e300]),
    "int64": np.array([-(2**63), 2**63 - 1, 0]),
    "small integers": RANDOM.integers(-5, 100, 1000),
    "uint8": np.arange(256, dtype=np.uint8),
    "truths": np.array([True, False]),
    "texts": np.array(["", "a", "\u0000" * 100, 'quotes " and \\', "ﬀ" * 10, "😀"], np.object_),
    "nothing": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("case", ARRAYS)
@pytest.mark.parametrize("enough", [0, 1 << 30])
def test_no_output_takes_more_json_than_is_said_of_it(case: str, enough: int) -> None:
    array = ARRAYS[case]
    written = to_json("y", array)
    assert len(written) - len("[]") <= most_json_bytes(array, enough)


def test_of_whole_numbers_no_digits_are_counted_that_they_do_not_have() -> None:
    for array in (np.ones(1000, np.float32), np.ones(1000, np.int64)):
        assert most_json_bytes(array, 0) <= 1000 * len("-1.0,")
