"""Outputs that are no tensors, served as tensors where they can be: ZipMap's probabilities, sequences, optionals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from fovea.client import Client
from rest_calls import rest
from servers import RunningServer, running_server, tensor
from value_models import FLOATS, classifier, save, sequence

X = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]], np.float32)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("forms")
    node = helper.make_node
    classifier(root, "numbers", [7, 0, 3])
    classifier(root, "texts", ["dog", "ant", "cat"])
    sequence(root, "stacked", [node("Neg", ["x"], ["z"]), node("SequenceConstruct", ["x", "z"], ["y"])])
    sequence(root, "rows", [node("SplitToSequence", ["x"], ["y"], axis=0, keepdims=0)])
    wide = node("Concat", ["x", "x"], ["z"], axis=1)
    sequence(root, "ragged", [wide, node("SequenceConstruct", ["x", "z"], ["y"])])
    flat = node("Flatten", ["x"], ["z"], axis=0)
    sequence(root, "ragged_if_many", [flat, node("SequenceConstruct", ["x", "z"], ["y"])])
    optional = helper.make_value_info("y", helper.make_optional_type_proto(FLOATS))
    save(root, "optional", [node("Optional", ["x"], ["y"])], [tensor("x", ["n", 3])], [optional])
    _of_maps(root)
    _of_categories(root)
    with running_server(root) as server:
        yield server


def _of_maps(root: Path) -> None:
    """Inputs that no request can bring."""
    keyed = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    vectors = helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a"])
    save(root, "map_input", [vectors], [helper.make_value_info("x", keyed)], [tensor("y", [1, 1])])
    many = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    zero = helper.make_node("Constant", [], ["zero"], value_int=0)
    first = [zero, helper.make_node("SequenceAt", ["x", "zero"], ["y"])]
    save(root, "sequence_input", first, [helper.make_value_info("x", many)], [tensor("y", ["n"])])


def _of_categories(root: Path) -> None:
    """As skl2onnx writes a pipeline that refuses categories it does not know: nothing that is made up runs."""
    node, ml = helper.make_node, "ai.onnx.ml"
    maps = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    nodes = [
        node("OneHotEncoder", ["x"], ["z"], domain=ml, cats_strings=["red", "green"], zeros=0),
        node("Flatten", ["z"], ["scores"]),
        node("ZipMap", ["scores"], ["probabilities"], domain=ml, classlabels_strings=["warm", "cold"]),
    ]
    colours = [tensor("x", ["n", 1], TensorProto.STRING)]
    save(
        root,
        "categories",
        nodes,
        colours,
        [helper.make_value_info("probabilities", helper.make_sequence_type_proto(maps))],
    )


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def infer(client: Any, model: str, *outputs: Any) -> Any:
    sent = triton.InferInput("x", X.shape, "FP32")
    sent.set_data_from_numpy(X)
    return client.infer(model, [sent], outputs=list(outputs) or None)


@pytest.mark.parametrize(("model", "places"), [("numbers", [1, 2, 0]), ("texts", [1, 2, 0])])
def test_zipmaps_probabilities_are_rows_with_a_column_a_class_in_order(
    client: Any, model: str, places: list[int]
) -> None:
    answer = infer(client, model)
    assert answer.as_numpy("label").tolist() == [1, 0]
    np.testing.assert_array_equal(answer.as_numpy("probabilities"), X[:, places])


@pytest.mark.parametrize(("model", "labels"), [("numbers", ["0", "3", "7"]), ("texts", ["ant", "cat", "dog"])])
def test_their_classes_are_the_labels_of_that_output(
    server: RunningServer, client: Any, model: str, labels: list[str]
) -> None:
    best = infer(client, model, triton.InferRequestedOutput("probabilities", class_count=1))
    assert best.as_numpy("probabilities").tolist() == [
        [f"0.700000:0:{labels[0]}".encode()],
        [f"0.500000:2:{labels[2]}".encode()],
    ]
    with Client(server.grpc) as own:
        assert own.metadata(model).json("output_labels") == {"probabilities": labels}


def test_such_a_model_shares_batches_and_tells_its_shapes(client: Any) -> None:
    assert client.get_model_config("numbers").config.max_batch_size == 32
    told = {one.name: (one.datatype, list(one.shape)) for one in client.get_model_metadata("numbers").outputs}
    assert told == {"label": ("INT64", [-1]), "probabilities": ("FP32", [-1, 3])}


def test_one_whose_texts_must_be_known_categories_is_served_too(server: RunningServer) -> None:
    def ask(*colours: str) -> Any:
        sent = {"name": "x", "datatype": "BYTES", "shape": [len(colours), 1], "data": colours}
        return rest(server, "/v2/models/categories/infer", {"inputs": [sent]})[:2]

    status, told = ask("red", "green")
    assert (status, told["outputs"][0]["shape"], told["outputs"][0]["data"]) == (200, [2, 2], [0, 1, 1, 0])
    assert ask("blue")[0] == 400
    why = "it fails on made-up rows, so no row was run before the first request"
    assert [line for line in server.errors if f"categories version 1: {why}" in line]
    (listed,) = [one for one in rest(server, "/v2/repository/index", b"")[1] if one["name"] == "categories"]
    assert listed["reason"].endswith(why)
    assert rest(server, "/v2/models/categories")[1]["properties"]["warm_up"] == why


def test_over_http_too(server: RunningServer) -> None:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [0, 1, 0, 1, 0, 0]}]}
    _, told, _ = rest(server, "/v2/models/numbers/infer", body)
    assert (told["outputs"][1]["shape"], told["outputs"][1]["data"]) == ([2, 3], [1, 0, 0, 0, 0, 1])


@pytest.mark.parametrize(("model", "y"), [("stacked", np.stack([X, -X])), ("rows", X), ("optional", X)])
def test_what_makes_a_tensor_is_served_as_one(client: Any, model: str, y: np.ndarray) -> None:
    np.testing.assert_array_equal(infer(client, model).as_numpy("y"), y)
    assert len(client.get_model_metadata(model).outputs[0].shape) == y.ndim


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("ragged", "output y is a sequence of tensors of shapes"),
        ("map_input", "x is a map(string,tensor(float)), which cannot be served: requests and answers carry tensors"),
        ("sequence_input", "x is a seq(tensor(float)), which cannot be served"),
    ],
)
def test_what_makes_none_is_the_reason_why_the_model_is_not_served(client: Any, model: str, told: str) -> None:
    (reason,) = [one.reason for one in client.get_model_repository_index().models if one.name == model]
    assert told in reason
    with pytest.raises(InferenceServerException):
        infer(client, model)


def test_a_request_whose_answer_makes_none_gets_an_error_and_the_next_its_answer(client: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"of shapes \[\[1, 6\], \[2, 3\]\]") as refusal:
        infer(client, "ragged_if_many")
    assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"
    sent = triton.InferInput("x", [1, 3], "FP32")
    sent.set_data_from_numpy(X[:1])
    assert client.infer("ragged_if_many", [sent]).as_numpy("y").shape == (2, 1, 3)
