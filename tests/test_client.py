"""The blocking client's coding of arrays; tests/cli drives it against a real server."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays

from fovea import wire
from fovea.client import DTYPES, decode, encode
from fovea.contract.errors import InvalidRequest, Unsupported

DATATYPE = pytest.mark.parametrize("datatype", list(DTYPES))


def answer_to(request: bytes) -> object:
    """What a server that gives back its inputs would answer."""
    sent = wire.message("ModelInferRequest").FromString(request)
    answer = wire.message("ModelInferResponse")(raw_output_contents=sent.raw_input_contents)
    for tensor in sent.inputs:
        answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    return answer


@DATATYPE
def test_every_datatype_survives_the_way_there_and_back(datatype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(DTYPES[datatype])
    back = decode(answer_to(encode("m", "", {"x": array}, ()).SerializeToString()))["x"]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@given(arrays.arrays(">f4", arrays.array_shapes(min_dims=0, max_dims=4, min_side=0)))
def test_big_endian_and_empty_arrays_arrive_as_they_were(array: np.ndarray) -> None:
    back = decode(answer_to(encode("m", "", {"x": array}, ()).SerializeToString()))["x"]
    np.testing.assert_array_equal(back, array)


def test_a_dtype_without_a_datatype_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="complex128"):
        encode("m", "", {"x": np.zeros(1, np.complex128)}, ())


def test_texts_are_refused_with_the_outputs_name() -> None:
    answer = wire.message("ModelInferResponse")(raw_output_contents=[b""])
    answer.outputs.add(name="words", datatype="BYTES", shape=[1])
    with pytest.raises(Unsupported, match="words"):
        decode(answer)


@pytest.mark.parametrize("heavy", ["torch", "onnx", "onnxruntime", "fovea.serving", "fovea.runtime", "fovea.export"])
def test_the_client_loads_nothing_heavy(heavy: str) -> None:
    script = f"import sys, fovea.client; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_client_and_tritonclient_live_in_one_process() -> None:
    script = "import fovea.client, tritonclient.grpc"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
