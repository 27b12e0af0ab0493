"""`reshape` in a config.pbtxt: clients send and get one shape, the model has another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from rest_calls import rest
from servers import RunningServer, running_server, save_model, tensor

Axes = list[int | str]
MODELS: dict[str, tuple[Axes, str]] = {
    "densenet": (
        [1, 3, 2, 2],
        """
        name: "densenet" platform: "onnxruntime_onnx" max_batch_size : 0
        input [
          { name: "x" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, 2, 2 ] reshape { shape: [ 1, 3, 2, 2 ] } }
        ]
        output [
          {
            name: "y" data_type: TYPE_FP32 dims: [ 12 ] reshape { shape: [ 1, 3, 2, 2 ] } label_filename: "labels.txt"
          }
        ]
        """,
    ),
    "flat": (
        ["n", 2, 2],
        """
        max_batch_size: 8
        input { name: "x" data_type: TYPE_FP32 dims: 4 reshape { shape: [ 2, 2 ] } }
        output { name: "y" data_type: TYPE_FP32 dims: [ 4, 1 ] reshape { shape: [ 2, 2 ] } }
        """,
    ),
    "scalar_rows": (
        ["n"],
        """
        max_batch_size: 8
        input { name: "x" data_type: TYPE_FP32 dims: 1 reshape { shape: [ ] } }
        output { name: "y" data_type: TYPE_FP32 dims: [ 1, 1 ] reshape { shape: [ ] } }
        """,
    ),
    "open": (
        ["n", "length", 2, 2],
        """
        max_batch_size: 8
        input { name: "x" data_type: TYPE_FP32 dims: [ -1, 4 ] reshape { shape: [ -1, 2, 2 ] } }
        output { name: "y" data_type: TYPE_FP32 dims: [ 1, -1, 4 ] reshape { shape: [ -1, 2, 2 ] } }
        """,
    ),
}
SHAPES = {
    "densenet": ((3, 2, 2), (12,)),
    "flat": ((3, 4), (3, 4, 1)),
    "scalar_rows": ((5, 1), (5, 1, 1)),
    "open": ((2, 3, 4), (2, 1, 3, 4)),
}
"""Of a request and its answer."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("reshape")
    for name, (axes, config) in MODELS.items():
        node = helper.make_node("Add", ["x", "x"], ["y"])
        save_model(root, name, [node], [tensor("x", axes)], [tensor("y", axes)])
        (root / name / "config.pbtxt").write_text(config)
    (root / "densenet" / "labels.txt").write_text("".join(f"label {index}\n" for index in range(12)))
    _other_than_it_says(root)
    with running_server(root, "--open-rpcs=shared_memory") as server:
        yield server


def _other_than_it_says(root: Path) -> None:
    """The largest number of its input is the width of its output."""
    node = helper.make_node
    nodes = [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Cast", ["most"], ["width"], to=TensorProto.INT64),
        node("Constant", [], ["rows"], value_ints=[-1]),
        node("Constant", [], ["zero"], value_ints=[0]),
        node("Unsqueeze", ["width", "zero"], ["widths"]),
        node("Concat", ["rows", "widths"], ["size"], axis=0),
        node("Reshape", ["x", "size"], ["y"]),
    ]
    save_model(root, "liar", nodes, [tensor("x", ["n", 4])], [tensor("y", ["m", "k"])])
    (root / "liar" / "config.pbtxt").write_text(
        'input { name: "x" data_type: TYPE_FP32 dims: [ -1, 4 ] }'
        'output { name: "y" data_type: TYPE_FP32 dims: [ 2, 2 ] reshape { shape: [ 1, 4 ] } }'
    )


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def infer(client: Any, model: str, x: np.ndarray, top: int = 0) -> np.ndarray:
    sent = triton.InferInput("x", x.shape, "FP32")
    sent.set_data_from_numpy(x)
    wanted = [triton.InferRequestedOutput("y", class_count=top)]
    return client.infer(model, [sent], outputs=wanted).as_numpy("y")  # type: ignore[no-any-return]


@pytest.mark.parametrize("model", MODELS)
def test_clients_send_and_get_their_shape(client: Any, model: str) -> None:
    sent, got = SHAPES[model]
    x = numbers(sent)
    for _ in range(2):  # the second time, its header is known
        np.testing.assert_array_equal(infer(client, model, x), (x * 2).reshape(got))


@pytest.mark.parametrize("model", MODELS)
def test_over_http_too(server: RunningServer, model: str) -> None:
    sent, got = SHAPES[model]
    x = numbers(sent)
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": list(sent), "data": x.tolist()}]}
    _, told, _ = rest(server, f"/v2/models/{model}/infer", body)
    assert (told["outputs"][0]["shape"], told["outputs"][0]["data"]) == (list(got), (x * 2).ravel().tolist())


def test_requests_of_such_a_model_share_batches(client: Any) -> None:
    answers = [infer(client, "open", numbers((1, length, 4))) for length in (1, 2, 1)]
    assert [answer.shape for answer in answers] == [(1, 1, length, 4) for length in (1, 2, 1)]


def test_classes_are_those_of_the_clients_shape(client: Any) -> None:
    assert infer(client, "densenet", numbers((3, 2, 2)), top=2).tolist() == [
        b"22.000000:11:label 11",
        b"20.000000:10:label 10",
    ]


def test_a_byte_count_is_held_against_the_clients_shape(client: Any) -> None:
    sent = triton.InferInput("x", [3, 4], "FP32")
    sent._raw_content = bytes(47)
    with pytest.raises(InferenceServerException, match=r"expected 48 bytes for FP32 \[3, 4\], received 47"):
        client.infer("flat", [sent])


def test_a_request_in_the_models_own_shape_is_refused(client: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"expected shape \[-1, 4\], received \[3, 2, 2\]"):
        infer(client, "flat", numbers((3, 2, 2)))


@pytest.mark.parametrize("model", MODELS)
def test_metadata_and_configuration_tell_the_clients_shape(client: Any, model: str) -> None:
    sent, got = SHAPES[model]
    metadata, config = client.get_model_metadata(model), client.get_model_config(model).config
    assert [len(metadata.inputs[0].shape), len(metadata.outputs[0].shape)] == [len(sent), len(got)]
    told = [config.input[0], config.output[0]]
    batch = 1 if config.max_batch_size else 0
    assert [len(one.dims) + batch for one in told] == [len(sent), len(got)]
    assert [len(one.reshape.shape) + batch for one in told] == [len(MODELS[model][0])] * 2
    assert all(one.HasField("reshape") for one in told)


def test_an_output_that_is_not_as_the_configuration_says_is_an_error_of_its_request(client: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"output y cannot be reshaped .*found \[2, 2\]"):
        infer(client, "liar", np.full((1, 4), 2, np.float32))
    assert infer(client, "flat", numbers((1, 4))).shape == (1, 4, 1)
