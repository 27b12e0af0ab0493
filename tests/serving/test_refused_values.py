"""Values and sizes that a model cannot take: their caller is told so, and nobody else is hurt."""

from __future__ import annotations

import json
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fovea import wire
from rest_calls import rest
from servers import RunningServer, infer_request, running_server, save_model, tensor

TABLE = np.arange(10, dtype=np.float32) * 10
COLUMNS = 2
BEYOND = "the model cannot run on this input: Gather: indices element out of data bounds, idx=10"


def constant(name: str, value: np.ndarray) -> object:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))


@pytest.fixture(scope="module", params=["--fast-lane", "--no-fast-lane"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """`table` looks indices up; `impossible` fails whatever it gets; `zeros` makes as many as it is asked for."""
    repository = tmp_path_factory.mktemp("repository")
    looking_up = [constant("table", TABLE), helper.make_node("Gather", ["table", "x"], ["y"])]
    indices = tensor("x", ["n", COLUMNS], TensorProto.INT64)
    save_model(repository, "table", looking_up, [indices], [tensor("y", ["n", COLUMNS])])
    reshaping = [constant("sizes", np.array([7, 3])), helper.make_node("Reshape", ["x", "sizes"], ["y"])]
    save_model(repository, "impossible", reshaping, [tensor("x", ["n", "length"])], [tensor("y", [7, 3])])
    zeros = [helper.make_node("ConstantOfShape", ["x"], ["y"])]
    save_model(repository, "zeros", zeros, [tensor("x", [1], TensorProto.INT64)], [tensor("y", ["size"])])
    with running_server(repository, request.param) as server:
        yield server


def ask(server: RunningServer, model: str, *rows: np.ndarray) -> list[np.ndarray | grpc.RpcError]:
    """All at once."""
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(
            wire.path("ModelInfer"), response_deserializer=wire.message("ModelInferResponse").FromString
        )
        futures = [call.future(infer_request(model, one), timeout=60) for one in rows]
        return [
            future.exception() or np.frombuffer(future.result().raw_output_contents[0], np.float32)
            for future in futures
        ]


def test_an_index_beyond_the_table_costs_its_own_caller_an_invalid_argument_and_no_other_anything(
    server: RunningServer,
) -> None:
    rows = [np.array([[index % 11, 1]]) for index in range(66)]
    for sent, told in zip(rows, ask(server, "table", *rows), strict=True):
        if sent.max() < len(TABLE):
            np.testing.assert_array_equal(told, TABLE[sent.ravel()])
        else:
            assert isinstance(told, grpc.RpcError)
            assert told.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert told.details().startswith(BEYOND)
            assert "onnxruntime" not in told.details().lower()


def test_over_http_it_is_a_bad_request_with_the_same_words(server: RunningServer) -> None:
    sent = {"name": "x", "datatype": "INT64", "shape": [1, COLUMNS], "data": [1, 10]}
    status, told, _ = rest(server, "/v2/models/table/infer", json.dumps({"inputs": [sent]}).encode())
    assert (status, told) == (400, told)
    assert told["error"].startswith(BEYOND)


@pytest.mark.parametrize(
    ("size", "code"),
    [(-3, "INVALID_ARGUMENT"), (2**62, "INVALID_ARGUMENT"), (2**61, "RESOURCE_EXHAUSTED")],
)
def test_a_size_that_cannot_be_had_is_told_and_nothing_is_written_past_the_log(
    server: RunningServer, size: int, code: str
) -> None:
    (told,) = ask(server, "zeros", np.array([size]))
    assert isinstance(told, grpc.RpcError)
    assert told.code().name == code, told.details()
    assert "onnxruntime" not in told.details().lower()
    assert [line for line in server.errors if not line.startswith("{")] == []


def test_a_model_that_has_never_run_does_not_blame_its_callers(server: RunningServer) -> None:
    (told,) = ask(server, "impossible", np.zeros((1, 5), np.float32))
    assert isinstance(told, grpc.RpcError)
    assert told.code() == grpc.StatusCode.INTERNAL
    assert "cannot be reshaped" in told.details()


def test_it_is_counted_as_the_callers_fault(server: RunningServer) -> None:
    ask(server, "table", np.array([[10, 1]]))
    found = server.samples()
    outcomes = {dict(labels)["outcome"]: value for (name, labels), value in found.items()
                if name == "fovea_requests_total" and dict(labels)["model"] == "table"}  # fmt: skip
    assert outcomes["invalid"] > 0
    assert outcomes["failed"] == 0
