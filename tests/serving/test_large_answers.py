"""An answer that is larger than may be sent: its caller is told so, and it counts as no success."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from onnx import TensorProto, helper

from fovea import wire
from rest_calls import rest
from servers import RunningServer, infer_request, requests_by_outcome, running_server, save_model, tensor, total

COLUMNS = 500_000
"""Of a row, 2 MB: half of a message."""
TOO_LARGE = "the limit is 4194304 (--max-message-mb)"


def wide(repository: Path, name: str, columns: int | str) -> None:
    """From a number to a row of them: of COLUMNS, or of as many as it says itself."""
    node = helper.make_node
    nodes = [
        node("Constant", [], ["one"], value_ints=[1]),
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Cast", ["most"], ["itself"], to=TensorProto.INT64),
        node("Reshape", ["itself", "one"], ["said"]),
        node("Constant", [], ["fixed"], value_ints=[COLUMNS]),
        node("Concat", ["one", "fixed" if columns == COLUMNS else "said"], ["size"], axis=0),
        node("Expand", ["x", "size"], ["y"]),
    ]
    save_model(repository, name, nodes, [tensor("x", ["n", 1])], [tensor("y", ["n", columns])])


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = tmp_path_factory.mktemp("wide")
    wide(repository, "known", COLUMNS)
    wide(repository, "unknown", "columns")
    with running_server(repository, f"--{request.param}", "--max-message-mb=4") as server:
        yield server


def batches(server: RunningServer, model: str) -> float:
    return total(server.samples(), "fovea_batches_total", model=model)


@pytest.mark.parametrize(("model", "runs"), [("known", 0), ("unknown", 1)])
def test_it_is_refused_and_counted_so_and_before_the_model_runs_where_its_size_is_known(
    server: RunningServer, model: str, runs: int
) -> None:
    before, ran = requests_by_outcome(server), batches(server, model)
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary(wire.path("ModelInfer"))
        with pytest.raises(grpc.RpcError) as caught:
            infer(infer_request(model, np.full((3, 1), COLUMNS, np.float32)), timeout=60)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert TOO_LARGE in caught.value.details()
    assert requests_by_outcome(server) - before == {"invalid": 1}
    assert batches(server, model) - ran == runs


def test_over_http_it_is_refused_with_the_same_words(server: RunningServer) -> None:
    body = {"inputs": [{"name": "x", "shape": [3, 1], "datatype": "FP32", "data": [1, 1, 1]}]}
    status, answer, _ = rest(server, "/v2/models/known/infer", body)
    assert status == 400
    assert TOO_LARGE in answer["error"]


def test_one_that_fits_is_sent(server: RunningServer) -> None:
    unbounded = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(server.grpc, options=unbounded) as channel:
        infer = channel.unary_unary(wire.path("ModelInfer"))
        answer = infer(infer_request("known", np.ones((2, 1), np.float32)), timeout=60)
    assert len(answer) > 4_000_000
