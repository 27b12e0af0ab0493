"""Models of very many inputs: a request that names them all passes, and other models' requests stay bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from onnx import helper

from bad_requests import INVALID, TOO_MUCH_HEADER, infer
from fovea.serving.fronts.grpc.header_bytes import header_bytes
from fovea.serving.requests.header_bound import LEAST_BOUND
from raw_client import RawClient
from rest_calls import rest
from servers import RunningServer, plain_models, running_server, save_model, tensor

COLUMNS = [f"customer_behaviour_feature_{index:05d}" for index in range(2000)]
JUNK = {f"mine {index}": {"int64_param": 1} for index in range(5_000)}


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    root = plain_models(tmp_path_factory.mktemp("wide"))
    inputs = [tensor(name, ["n", 1]) for name in COLUMNS]
    save_model(root, "wide", [helper.make_node("Concat", COLUMNS, ["y"], axis=1)], inputs, [tensor("y", ["n", 2000])])
    with running_server(root, f"--{request.param}") as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[RawClient]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield RawClient(channel)


def wide(**changes: Any) -> dict[str, Any]:
    inputs = [{"name": name, "datatype": "FP32", "shape": [1, 1]} for name in COLUMNS]
    raw = [np.float32(index).tobytes() for index in range(len(COLUMNS))]
    return {"model_name": "wide", "inputs": inputs, "raw_input_contents": raw, **changes}


def test_a_request_with_two_thousand_inputs_is_answered(server: RunningServer) -> None:
    sent = [triton.InferInput(name, [1, 1], "FP32") for name in COLUMNS]
    for index, one in enumerate(sent):
        one.set_data_from_numpy(np.full((1, 1), index, np.float32))
    with triton.InferenceServerClient(server.grpc) as client:
        for _ in range(2):  # the second time, its header is known
            assert client.infer("wide", sent).as_numpy("y").tolist() == [list(range(2000))]


def test_over_http_too(server: RunningServer) -> None:
    inputs = [{"name": name, "datatype": "FP32", "shape": [1, 1], "data": [7]} for name in COLUMNS]
    status, told, _ = rest(server, "/v2/models/wide/infer", json.dumps({"inputs": inputs}).encode())
    assert (status, told["outputs"][0]["data"]) == (200, [7] * 2000)


def test_the_other_models_of_the_server_keep_their_bound(server: RunningServer, client: RawClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client("ModelInfer", **infer(parameters=JUNK))
    assert (caught.value.code(), *TOO_MUCH_HEADER) == (INVALID, *TOO_MUCH_HEADER)
    assert all(word in caught.value.details() for word in TOO_MUCH_HEADER)
    body = {"inputs": [], "parameters": dict.fromkeys(JUNK, 1)}
    status, told, _ = rest(server, "/v2/models/double/infer", json.dumps(body).encode())
    assert (status, told["error"]) == (400, caught.value.details())


def test_the_wide_model_has_a_bound_too(client: RawClient) -> None:
    inputs = [{**one, "parameters": {f"{index}": {} for index in range(40)}} for one in wide()["inputs"]]
    with pytest.raises(grpc.RpcError, match="beside the tensors' data") as caught:
        client("ModelInfer", **wide(inputs=inputs))
    assert caught.value.code() == INVALID


def test_an_unknown_model_gets_no_larger_one_than_the_widest(client: RawClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client("ModelInfer", **wide(model_name="nobody"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError, match="beside the tensors' data"):
        client("ModelInfer", **infer(model_name="nobody", inputs=infer()["inputs"] * 200_000))


def test_empty_fields_count_as_more_than_their_bytes() -> None:
    assert header_bytes(b"\x2a\x00" * (LEAST_BOUND // 2 + 1), LEAST_BOUND) > LEAST_BOUND
    assert header_bytes(b"\x2a\x00" * (LEAST_BOUND // 2 + 1), 8 * LEAST_BOUND) == 8 * (LEAST_BOUND // 2 + 1)
