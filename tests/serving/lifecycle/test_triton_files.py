"""Where Triton's repositories keep a model's file, and inputs that its requests may leave out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton
from onnx import helper, numpy_helper
from tritonclient.utils import InferenceServerException

from rest_calls import rest
from servers import RunningServer, running_server, save_model, tensor
from simam_version import write_version
from value_models import default_input, optional_input

X = np.array([[1, 2, 3]], np.float32)
X_INPUT = 'input { name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] }'
O_INPUT = 'input { name: "o" data_type: TYPE_FP32 dims: [ -1, 3 ] optional: true }'
SCALE_INPUT = 'input { name: "scale" data_type: TYPE_FP32 dims: 1 optional: true }'


def doubling(root: Path, name: str) -> Path:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    return save_model(root, name, [node], [tensor("x", ["n", 3])], [tensor("y", ["n", 3])])


def in_a_folder(root: Path, name: str, file: str) -> None:
    """With its weights beside it."""
    version = root / name / "1"
    (version / file).mkdir(parents=True)
    weights = [numpy_helper.from_array(np.full((1024, 3), 2, np.float32), "w")]
    nodes = [helper.make_node("ReduceMax", ["w"], ["two"], keepdims=0), helper.make_node("Mul", ["x", "two"], ["y"])]
    graph = helper.make_graph(nodes, name, [tensor("x", ["n", 3])], [tensor("y", ["n", 3])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, version / file / "model.onnx", save_as_external_data=True, location="weights.bin")


def configure(root: Path, name: str, text: str) -> None:
    (root / name / "config.pbtxt").write_text(text)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("files")
    in_a_folder(root, "folder", "model.onnx")
    in_a_folder(root, "named_folder", "net")
    configure(root, "named_folder", 'default_model_filename: "net"')
    doubling(root, "named").joinpath("model.onnx").rename(root / "named" / "1" / "net.onnx")
    configure(root, "named", 'default_model_filename: "net.onnx"')
    doubling(root, "missing")
    configure(root, "missing", 'default_model_filename: "net.onnx"')
    (root / "empty_folder" / "1" / "model.onnx").mkdir(parents=True)
    write_version(root / "carded" / "1")
    configure(root, "carded", 'default_model_filename: "maps.onnx"')
    _with_optional_inputs(root)
    with running_server(root) as server:
        yield server


def _with_optional_inputs(root: Path) -> None:
    for name in ("typed", "configured", "batched", "listed"):
        optional_input(root, name)
    configure(root, "configured", X_INPUT + O_INPUT)
    configure(root, "batched", "max_batch_size: 8 " + (X_INPUT + O_INPUT).replace("-1, ", ""))
    configure(root, "listed", X_INPUT + O_INPUT.replace("optional: true", ""))
    for name in ("default", "hidden"):
        default_input(root, name)
    configure(root, "default", X_INPUT + SCALE_INPUT)
    optional_input(root, "needed", needed=True)
    doubling(root, "required")
    configure(root, "required", X_INPUT.replace(" }", " optional: true }"))


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def infer(client: Any, model: str, **inputs: np.ndarray) -> np.ndarray:
    sent = [triton.InferInput(name, array.shape, "FP32") for name, array in inputs.items()]
    for one, array in zip(sent, inputs.values(), strict=True):
        one.set_data_from_numpy(array)
    return client.infer(model, sent).as_numpy("y")  # type: ignore[no-any-return]


def reason_of(client: Any, model: str) -> str:
    (told,) = [one for one in client.get_model_repository_index().models if one.name == model]
    assert told.state == "UNAVAILABLE"
    return str(told.reason)


@pytest.mark.parametrize("model", ["folder", "named_folder", "named"])
def test_a_model_is_served_from_where_triton_keeps_it(client: Any, model: str) -> None:
    np.testing.assert_array_equal(infer(client, model, x=X), X * 2)


def test_nothing_of_it_is_looked_for_elsewhere(server: RunningServer) -> None:
    assert not [line for line in server.errors if "No such file" in line]


def test_the_configuration_tells_what_its_file_is_called(client: Any) -> None:
    told = {name: client.get_model_config(name).config.default_model_filename for name in ("folder", "named")}
    assert told == {"folder": "model.onnx", "named": "net.onnx"}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("missing", "net.onnx is missing"),
        ("empty_folder", "model.onnx/model.onnx is missing"),
        ("carded", "default_model_filename: the version has a card"),
    ],
)
def test_a_file_that_is_not_there_is_named(client: Any, model: str, told: str) -> None:
    assert told in reason_of(client, model)


@pytest.mark.parametrize("model", ["typed", "configured", "batched"])
def test_an_input_of_an_optional_type_may_be_left_out_and_sent(client: Any, model: str) -> None:
    np.testing.assert_array_equal(infer(client, model, x=X), X + 1)
    np.testing.assert_array_equal(infer(client, model, x=X, o=X), X + X)
    np.testing.assert_array_equal(infer(client, model, x=X), X + 1)
    assert {one.name: one.optional for one in client.get_model_config(model).config.input} == {"x": False, "o": True}


def test_over_http_too(server: RunningServer) -> None:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": X.ravel().tolist()}]}
    _, told, _ = rest(server, "/v2/models/typed/infer", body)
    assert told["outputs"][0]["data"] == [2, 3, 4]


def test_requests_with_and_without_it_never_share_a_batch(client: Any) -> None:
    x = np.repeat(X, 4, axis=0)
    sent = [({"x": x, "o": x} if turn % 2 else {"x": x}) for turn in range(40)]
    calls = [_start(client, "batched", **inputs) for inputs in sent]
    for inputs, call in zip(sent, calls, strict=True):
        np.testing.assert_array_equal(call.get_result().as_numpy("y"), x + inputs.get("o", 1))


def _start(client: Any, model: str, **inputs: np.ndarray) -> Any:
    sent = [triton.InferInput(name, array.shape, "FP32") for name, array in inputs.items()]
    for one, array in zip(sent, inputs.values(), strict=True):
        one.set_data_from_numpy(array)
    return _Call(client, model, sent)


class _Call:
    """An answer that is on its way."""

    def __init__(self, client: Any, model: str, sent: list[Any]) -> None:
        self._answered = threading.Event()
        client.async_infer(model, sent, callback=self._keep)

    def _keep(self, result: Any, error: Any) -> None:
        self._result, self._error = result, error
        self._answered.set()

    def get_result(self) -> Any:
        assert self._answered.wait(30)
        assert self._error is None
        return self._result


def test_an_input_with_a_default_may_be_left_out_where_the_configuration_names_it(client: Any) -> None:
    np.testing.assert_array_equal(infer(client, "default", x=X), X * 2)
    np.testing.assert_array_equal(infer(client, "default", x=X, scale=np.array([5], np.float32)), X * 5)
    np.testing.assert_array_equal(infer(client, "hidden", x=X), X * 2)
    with pytest.raises(InferenceServerException, match=r"unexpected input 'scale': expected \['x'\]"):
        infer(client, "hidden", x=X, scale=np.array([5], np.float32))


def test_an_input_that_the_configuration_lists_as_needed_is_needed(client: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"missing input\(s\) \['o'\]"):
        infer(client, "listed", x=X)


def test_without_a_configuration_such_a_model_does_not_batch_and_tells_why(client: Any) -> None:
    (told,) = [one for one in client.get_model_repository_index().models if one.name == "typed"]
    assert "requests may leave out o" in told.reason
    assert client.get_model_config("typed").config.max_batch_size == 0


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("needed", "requests may leave out ['o'], and the model fails so"),
        ("required", "config.pbtxt: input x is optional there, and the model needs it"),
    ],
)
def test_an_input_that_cannot_be_left_out_is_the_reason_why_the_model_is_not_served(
    client: Any, model: str, told: str
) -> None:
    assert told in reason_of(client, model)
