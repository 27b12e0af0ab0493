"""The table of datatypes says the same as numpy and ONNX do."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from fovea import wire
from fovea.contract.datatypes import DATATYPES, Kind

every_datatype = pytest.mark.parametrize("name", DATATYPES)


@every_datatype
def test_onnx_calls_its_element_type_so_and_numpy_its_dtype(name: str) -> None:
    facts = DATATYPES[name]
    element = onnx.TensorProto.DataType.Name(facts.onnx).lower()
    assert facts.ort == f"tensor({element})"
    assert onnx.helper.np_dtype_to_tensor_dtype(np.dtype(facts.numpy)) == facts.onnx


@every_datatype
def test_it_holds_what_numpy_holds(name: str) -> None:
    facts = DATATYPES[name]
    dtype = np.dtype(facts.numpy)
    if facts.kind is Kind.INTEGER:
        assert facts.range == (np.iinfo(dtype).min, np.iinfo(dtype).max)
    elif facts.kind is Kind.FLOAT:
        assert facts.range == (np.finfo(dtype).min, np.finfo(dtype).max)
    else:
        assert facts.range == {"?": (0, 1), "O": None}[facts.numpy]


@every_datatype
def test_the_protocol_has_its_field_and_its_name_in_configurations(name: str) -> None:
    facts = DATATYPES[name]
    fields = wire.message("InferTensorContents").DESCRIPTOR.fields_by_name
    assert not facts.contents or facts.contents in fields
    assert wire.message("ModelInput")(data_type=facts.triton).data_type > 0


def test_what_triton_has_beside_these_numpy_has_not() -> None:
    known = wire.POOL.FindEnumTypeByName("inference.DataType").values_by_name.keys()
    assert set(known) - {facts.triton for facts in DATATYPES.values()} == {"TYPE_INVALID", "TYPE_BF16"}
