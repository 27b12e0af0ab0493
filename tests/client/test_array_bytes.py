"""The client's coding of arrays: what is sent comes back as it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fovea.client.array_bytes import datatype_of, from_raw, to_raw
from fovea.contract.errors import FoveaError, InvalidRequest, Unsupported
from fovea.raw_tensors import NUMPY_DTYPE


def there_and_back(array: np.ndarray) -> np.ndarray:
    return from_raw(output(datatype_of("x", array), array.shape), to_raw("x", array))


def output(datatype: str, shape: tuple[int, ...]) -> Any:
    return SimpleNamespace(name="y", datatype=datatype, shape=shape)


@pytest.mark.parametrize("datatype", sorted(NUMPY_DTYPE.keys() - {"BYTES"}))
def test_every_datatype_survives_the_way_there_and_back(datatype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(NUMPY_DTYPE[datatype])
    back = there_and_back(array)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@given(arrays.arrays(">f4", arrays.array_shapes(min_dims=0, max_dims=4, min_side=0)))
def test_big_endian_and_empty_arrays_arrive_as_they_were(array: np.ndarray) -> None:
    np.testing.assert_array_equal(there_and_back(array), array)


@given(arrays.arrays(np.object_, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0), elements=st.binary()))
def test_bytes_arrive_as_they_were(array: np.ndarray) -> None:
    back = there_and_back(array)
    assert (back.shape, back.tolist()) == (array.shape, array.tolist())


@pytest.mark.parametrize("dtype", [np.object_, np.str_])
def test_texts_arrive_in_utf_8(dtype: Any) -> None:
    assert there_and_back(np.array(["a", "später"], dtype)).tolist() == [b"a", "später".encode()]


def test_a_dtype_without_a_datatype_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="complex128"):
        datatype_of("x", np.zeros(1, np.complex128))


def test_an_object_that_is_no_text_is_refused_with_its_type() -> None:
    with pytest.raises(InvalidRequest, match="received int"):
        to_raw("x", np.array([1], np.object_))


@pytest.mark.parametrize(
    ("datatype", "raw", "kind"),
    [
        ("BF16", b"\0\0", Unsupported),
        ("FP32", b"\0\0\0", FoveaError),
        ("FP32", b"\0" * 8, FoveaError),
        ("BYTES", b"\5\0\0\0abc", FoveaError),
        ("BYTES", b"\5\0", FoveaError),
        ("BYTES", b"", FoveaError),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_with_the_outputs_name(
    datatype: str, raw: bytes, kind: type[FoveaError]
) -> None:
    with pytest.raises(kind, match="output y"):
        from_raw(output(datatype, (1,)), raw)
