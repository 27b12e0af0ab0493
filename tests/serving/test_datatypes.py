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
LARGE = {"FP64": ["n", 40_000], "BOOL": ["n", 80_000], "INT32": ["n", "m"], "BYTES": ["n", 5_000]}
"""Models, by datatype, whose tensors are passed on as views of what came; one of them as long as its requests are."""
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
    for name, shape in LARGE.items():
        x, y = (tensor(which, shape, DATATYPES[name].onnx) for which in "xy")
        save_model(root, f"large-{name}", [helper.make_node("Identity", ["x"], ["y"])], [x], [y])
    with running_server(root, request.param) as server:
        yield server


@pytest.fixture(scope="module")
def call(server: RunningServer) -> Iterator[RawClient]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield RawClient(channel)


def large(name: str) -> tuple[bytes, list[int]]:
    """Raw data of more than 64 KB, and its shape."""
    width = LARGE[name][1] if isinstance(LARGE[name][1], int) else 30_000
    count = 2 * width
    if name == "BYTES":
        return join_bytes([b"text number %d" % number for number in range(count)]), [2, width]
    numbers = np.arange(count) % 2 if name == "BOOL" else np.arange(count)
    return numbers.astype(DATATYPES[name].numpy).tobytes(), [2, width]


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


def binary_answer(server: RunningServer, model: str, said: dict[str, Any], data: bytes, request_id: str = "") -> bytes:
    """The binary data that comes back for binary data."""
    sent = {**said, "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"id": request_id, "inputs": [sent], "parameters": {"binary_data_output": True}}).encode()
    lengths = {"Inference-Header-Content-Length": str(len(head))}
    status, content, headers = rest(server, f"/v2/models/{model}/infer", head + data, lengths)
    assert status == 200
    return bytes(content[int(headers["inference-header-content-length"]) :])


@every_datatype
def test_binary_data_comes_back_as_it_was(server: RunningServer, name: str) -> None:
    assert binary_answer(server, name, said(name), raw(name)) == raw(name)


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


@pytest.mark.parametrize("name", LARGE)
def test_large_tensors_come_back_as_they_were_wherever_in_a_message_they_lie(
    call: RawClient, server: RunningServer, name: str
) -> None:
    data, shape = large(name)
    tensor_said = {"name": "x", "datatype": name, "shape": shape}
    for request_id in ("", "a", "ab", "abcd", "abcdefgh"):
        asked = {"model_name": f"large-{name}", "id": request_id}
        answer = call("ModelInfer", **asked, inputs=[tensor_said], raw_input_contents=[data])
        assert answer.raw_output_contents[0] == data
        assert binary_answer(server, f"large-{name}", tensor_said, data, request_id) == data
