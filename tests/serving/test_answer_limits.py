"""Answers that cannot be sent: refused before the model runs where that can be known, and no success is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from raw_client import RawClient
from rest_calls import rest
from servers import RunningServer, requests_by_outcome, running_server, save_model, tensor, total, wait_until

SIZE = 1_000_000
LENGTHS = {"half": 1, "known": 1, "unknown": 1000}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """`known` and `unknown` answer a million numbers, and only of the first is that known; `half` answers FP16."""
    folder = tmp_path_factory.mktemp("repository")
    sizes: dict[str, tuple[int | str, int | str]] = {"known": (1, SIZE), "unknown": ("length", "size")}
    for name, (length, size) in sizes.items():
        times = numpy_helper.from_array(np.array([1, SIZE // LENGTHS[name]]), "times")
        nodes = [helper.make_node("Constant", [], ["t"], value=times), helper.make_node("Tile", ["x", "t"], ["y"])]
        save_model(folder, name, nodes, [tensor("x", ["n", length])], [tensor("y", ["n", size])])
    cast = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16)
    save_model(folder, "half", [cast], [tensor("x", ["n", 1])], [tensor("y", ["n", 1], TensorProto.FLOAT16)])
    with running_server(folder, "--max-message-mb=2", "--max-json-mb=1") as running:
        yield running


def asked(model: str, **more: Any) -> dict[str, Any]:
    length = LENGTHS[model]
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, length], "data": [1.0] * length}], **more}


BINARY = {"parameters": {"binary_data_output": True}}
CLASSES = {"outputs": [{"name": "y", "parameters": {"classification": 1}}]}


def batches(server: RunningServer, model: str) -> float:
    return total(server.samples(), "fovea_batches_total", model=model, outcome="ok")


@pytest.mark.parametrize(
    ("model", "more", "words", "runs"),
    [
        ("half", {}, "output 'y': FP16 has no form in JSON, ask for it with binary_data", 0),
        ("known", {}, "output 'y': it may take more than 1048576 bytes of JSON (--max-json-mb)", 0),
        ("unknown", {}, "output 'y': it may take more than 1048576 bytes of JSON (--max-json-mb)", 1),
        ("known", BINARY, "the answer has 4000000 bytes, the limit is 2097152 (--max-message-mb)", 0),
        ("unknown", BINARY, "bytes, the limit is 2097152 (--max-message-mb)", 1),
    ],
)
def test_what_cannot_be_sent_over_http_is_told_and_counted_as_that(
    server: RunningServer, model: str, more: dict[str, Any], words: str, runs: int
) -> None:
    before, ran = requests_by_outcome(server), batches(server, model)
    status, told, _ = rest(server, f"/v2/models/{model}/infer", asked(model, **more))
    assert (status, words in told["error"]) == (400, True), told
    wait_until(lambda: batches(server, model) - ran == runs)
    assert requests_by_outcome(server) - before == {"invalid": 1}


@pytest.mark.parametrize(("model", "runs"), [("known", 0), ("unknown", 1)])
def test_what_cannot_be_sent_over_grpc_is_told_and_counted_as_that(
    server: RunningServer, model: str, runs: int
) -> None:
    before, ran = requests_by_outcome(server), batches(server, model)
    length = LENGTHS[model]
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, length], "contents": {"fp32_contents": [1.0] * length}}]
    with (
        grpc.insecure_channel(server.grpc) as channel,
        pytest.raises(grpc.RpcError, match="--max-message-mb") as caught,
    ):
        RawClient(channel)("ModelInfer", model_name=model, inputs=inputs)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    wait_until(lambda: batches(server, model) - ran == runs)
    assert requests_by_outcome(server) - before == {"invalid": 1}


@pytest.mark.parametrize("model", ["known", "unknown"])
def test_what_is_said_of_a_large_output_may_be_small(server: RunningServer, model: str) -> None:
    status, told, _ = rest(server, f"/v2/models/{model}/infer", asked(model, **CLASSES))
    assert (status, told["outputs"][0]["data"]) == (200, ["1.000000:0"])
