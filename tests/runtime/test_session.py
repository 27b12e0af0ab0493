"""Batches go in as requests and come out as the same requests' rows."""

import weakref

import numpy as np
import pytest
from onnx import TensorProto, helper

from fovea.contract.errors import ExecutionFailed, InvalidRequest, ModelBroken
from fovea.runtime.description import specs
from fovea.runtime.device import CPU, array_over
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature


@pytest.fixture
def open_model(tmp_path, save_model):
    def build(nodes, inputs, outputs, *, batched=True, max_batch_rows=8):
        session = open_session(save_model(tmp_path / "model.onnx", nodes, inputs, outputs), SessionSettings())
        return ModelSession(session, Signature(*specs(session), batched, max_batch_rows if batched else 1), CPU)

    return build


@pytest.fixture
def doubling(open_model, tensor):
    """y = x + x, three floats a row."""
    node = helper.make_node("Add", ["x", "x"], ["y"])
    return open_model([node], [tensor("x", ["N", 3])], [tensor("y", ["N", 3])])


def rows(*values: float) -> dict[str, np.ndarray]:
    return {"x": np.array([[value] * 3 for value in values], np.float32)}


def test_each_request_gets_its_own_rows(doubling):
    doubling.gather([rows(1), rows(2, 3), rows(4)])
    doubling.run()
    answers = [part["y"][:, 0].tolist() for part in doubling.split([1, 2, 1])]
    assert answers == [[2], [4, 6], [8]]


def test_batches_of_changing_size_do_not_disturb_each_other(doubling):
    for size in (8, 1, 5, 1, 8, 3):
        values = np.arange(size) + size
        assert doubling.infer(rows(*values))["y"][:, 0].tolist() == (2 * values).tolist()


LARGE = 150_000


@pytest.fixture
def doubling_much(open_model, tensor):
    node = helper.make_node("Add", ["x", "x"], ["y"])
    return open_model([node], [tensor("x", ["N", LARGE])], [tensor("y", ["N", LARGE])])


def test_a_large_request_that_is_alone_runs_from_where_it_lies_and_is_not_kept(doubling_much):
    x = np.ones((2, LARGE), np.float32)
    doubling_much.gather([{"x": x}])
    x[:] = 3  # what a copy would not show
    doubling_much.run()
    assert (doubling_much.split([2])[0]["y"] == 6).all()
    kept = weakref.ref(x)
    del x
    assert kept() is None


@pytest.mark.parametrize("lies", ["across", "unaligned", "beside another"])
def test_other_large_requests_are_copied(doubling_much, lies):
    x = np.ones((2, LARGE), np.float32)
    if lies == "across":
        x = np.ones((LARGE, 2), np.float32).T
    if lies == "unaligned":
        x = np.ndarray(x.shape, x.dtype, bytearray(x.nbytes + 1), offset=1)
        x[:] = 1
    requests = [{"x": x}, {"x": x}] if lies == "beside another" else [{"x": x}]
    doubling_much.gather(requests)
    x[:] = 3
    doubling_much.run()
    assert all((part["y"] == 2).all() for part in doubling_much.split([2] * len(requests)))


class OnlyPublic:
    """An ONNX Runtime session without what is private of it, which another release may not have."""

    def __init__(self, session):
        self._session = session

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._session, name)


def test_a_session_runs_without_what_is_private_of_onnx_runtime(doubling):
    signature = Signature(doubling.inputs, doubling.outputs, True, 8)
    session = ModelSession(OnlyPublic(doubling.opened), signature, CPU)
    assert session.infer(rows(1, 2))["y"][:, 0].tolist() == [2, 4]


def test_session_is_described_as_it_is(doubling):
    assert [(spec.name, spec.datatype, spec.shape) for spec in doubling.inputs] == [("x", "FP32", (-1, 3))]
    assert doubling.providers == ("CPUExecutionProvider",)


@pytest.mark.parametrize("size", [0, 9])
def test_batch_outside_its_bounds_is_refused(doubling, size):
    with pytest.raises(InvalidRequest, match=f"1 to 8 rows, not {size}"):
        doubling.gather([rows(*range(size)) if size else {"x": np.empty((0, 3), np.float32)}])


def test_read_only_and_strided_arrays_are_taken(doubling):
    array = np.frombuffer(np.arange(12, dtype=np.float32).tobytes(), np.float32).reshape(4, 3)
    assert doubling.infer({"x": array[::2]})["y"].tolist() == [[0, 2, 4], [12, 14, 16]]


def test_unknown_sizes_beyond_the_batch_are_batched_where_they_agree(open_model, tensor):
    node = helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)
    last = helper.make_node("Constant", [], ["axes"], value_ints=[1])
    node.input.append("axes")
    session = open_model([last, node], [tensor("x", ["N", "T"])], [tensor("y", ["N"])])
    session.gather([{"x": np.ones((2, 5), np.float32)}, {"x": np.ones((1, 5), np.float32)}])
    session.run()
    assert [part["y"].tolist() for part in session.split([2, 1])] == [[5, 5], [5]]
    with pytest.raises(ExecutionFailed, match="different shapes"):
        session.gather([{"x": np.ones((1, 5), np.float32)}, {"x": np.ones((1, 6), np.float32)}])


def test_text_goes_in_and_out_as_bytes(open_model, tensor):
    text = [tensor(name, ["N", 1], TensorProto.STRING) for name in ("x", "y")]
    session = open_model([helper.make_node("Identity", ["x"], ["y"])], text[:1], text[1:])
    words = np.array([["héllo".encode()], [b""]], np.object_)
    assert session.infer({"x": words})["y"].tolist() == words.tolist()
    with pytest.raises(InvalidRequest, match="input x holds text that is not UTF-8"):
        session.gather([{"x": np.array([[b"\xff"]], np.object_)}])


def test_model_without_a_batch_axis_takes_one_request(open_model, tensor):
    node = helper.make_node("Add", ["x", "x"], ["y"])
    session = open_model([node], [tensor("x", [3])], [tensor("y", [3])], batched=False)
    request = {"x": np.ones(3, np.float32)}
    assert session.infer(request)["y"].tolist() == [2, 2, 2]
    with pytest.raises(ExecutionFailed, match="one request at a time"):
        session.gather([request, request])


def test_failure_inside_the_model_is_told_in_one_line(open_model, tensor):
    nodes = [helper.make_node("Gather", ["table", "x"], ["y"])]
    nodes.insert(0, helper.make_node("Constant", [], ["table"], value_floats=[1.0, 2.0]))
    session = open_model(nodes, [tensor("x", ["N"], TensorProto.INT64)], [tensor("y", ["N"])])
    with pytest.raises(ExecutionFailed, match="Gather") as failure:
        session.infer({"x": np.array([7])})
    assert "\n" not in str(failure.value)
    assert "[ONNXRuntimeError]" not in str(failure.value)
    assert session.infer({"x": np.array([1])})["y"].tolist() == [2]


def test_model_that_takes_sequences_of_tensors_is_refused(open_model, tensor):
    node = helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)
    sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    with pytest.raises(ModelBroken, match=r"x is a seq\(tensor\(float\)\)"):
        open_model([node], [sequence], [tensor("y", ["N"])])


def test_array_over_memory_of_the_runtime_is_that_memory():
    import onnxruntime

    value = onnxruntime.OrtValue.ortvalue_from_shape_and_type([2, 3], np.float32)
    array_over(value, (2, 3), np.dtype(np.float32))[:] = 5
    assert (value.numpy() == 5).all()
