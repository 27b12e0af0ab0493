"""Every datatype of the table, through every door of the server: a model of each gives back what it gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from onnx import helper

from fovea import wire
from fovea.client import Client
from fovea.contract.datatypes import DATATYPES
from fovea.raw_tensors import join_bytes
from raw_client import RawClient
from rest_calls import rest
from servers import RunningServer, running_server, save_model, tensor

TEXTS = [b"", "später".encode()]
every_datatype = pytest.mark.parametrize("name", DATATYPES)


def values(name: str) -> Any:
    """The least and the greatest of its values; of texts an empty one."""
    facts = DATATYPES[name]
    return np.array([TEXTS if facts.range is None else facts.range], facts.numpy)


def raw(name: str) -> bytes:
    return join_bytes(TEXTS) if DATATYPES[name].range is None else values(name).tobytes()


def plain(name: str) -> list[Any]:
    """As JSON has them."""
    return [text.decode() for text in TEXTS] if DATATYPES[name].range is None else values(name)[0].tolist()


@pytest.fixture(scope="module", params=["--fast-lane", "--no-fast-lane"])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("datatypes")
    for name, facts in DATATYPES.items():
        x, y = tensor("x", ["n", 2], facts.onnx), tensor("y", ["n", 2], facts.onnx)
        save_model(root, name, [helper.make_node("Identity", ["x"], ["y"])], [x], [y])
    with running_server(root, request.param) as server:
        yield server


@pytest.fixture(scope="module")
def call(server: RunningServer) -> Iterator[RawClient]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield RawClient(channel)


def said(name: str) -> dict[str, Any]:
    return {"name": "x", "datatype": name, "shape": [1, 2]}


@every_datatype
def test_raw_bytes_come_back_as_they_were(call: RawClient, name: str) -> None:
    answer = call("ModelInfer", model_name=name, inputs=[said(name)], raw_input_contents=[raw(name)])
    assert (answer.outputs[0].datatype, answer.raw_output_contents[0]) == (name, raw(name))


@every_datatype
def test_typed_contents_come_back_as_raw_bytes_or_are_refused(call: RawClient, name: str) -> None:
    field = DATATYPES[name].contents
    sent = values(name)[0].tolist()
    if field:
        answer = call("ModelInfer", model_name=name, inputs=[{**said(name), "contents": {field: sent}}])
        assert answer.raw_output_contents[0] == raw(name)
    else:
        with pytest.raises(grpc.RpcError, match=f"{name} has no typed contents"):
            call("ModelInfer", model_name=name, inputs=[{**said(name), "contents": {"fp32_contents": sent}}])


@every_datatype
def test_json_comes_back_as_it_was_or_is_refused(server: RunningServer, name: str) -> None:
    status, answer, _ = rest(server, f"/v2/models/{name}/infer", {"inputs": [{**said(name), "data": plain(name)}]})
    if DATATYPES[name].contents:
        assert (status, answer["outputs"][0]["datatype"], answer["outputs"][0]["data"]) == (200, name, plain(name))
    else:
        assert (status, f"{name} has no form in JSON" in answer["error"]) == (400, True)


@every_datatype
def test_binary_data_comes_back_as_it_was(server: RunningServer, name: str) -> None:
    data = raw(name)
    sent = {**said(name), "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [sent], "parameters": {"binary_data_output": True}}).encode()
    lengths = {"Inference-Header-Content-Length": str(len(head))}
    status, content, headers = rest(server, f"/v2/models/{name}/infer", head + data, lengths)
    assert (status, content[int(headers["inference-header-content-length"]) :]) == (200, data)


@every_datatype
def test_the_own_client_gives_back_the_array(server: RunningServer, name: str) -> None:
    with Client(server.grpc) as client:
        answer = client.infer(name, {"x": values(name)})["y"]
    assert answer.dtype == np.dtype(DATATYPES[name].numpy)
    np.testing.assert_array_equal(answer, values(name))


@every_datatype
def test_metadata_and_configuration_name_it(call: RawClient, name: str) -> None:
    config = call("ModelConfig", name=name).config
    assert wire.enum_name("DataType", config.input[0].data_type) == DATATYPES[name].triton
    assert call("ModelMetadata", name=name).inputs[0].datatype == name
