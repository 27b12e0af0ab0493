"""What programs that were written for Triton look at: names, texts, and calls that a server without a GPU answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from raw_client import RawClient
from servers import RunningServer, running_server, save_model, tensor

PICTURE = """
max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 format: FORMAT_NHWC dims: [ 2, 2, 3 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 3 ] }
"""
UNKNOWN = "Request for unknown model: 'nobody' is not found"
NUMBERS = np.arange(8).reshape(2, 4)


def sum_of_texts(root: Path) -> None:
    """Texts that are numbers to their sum, as a text: it cannot be run with any other texts."""
    node = helper.make_node
    nodes = [
        *(node("Cast", [name], [f"{name} as number"], to=TensorProto.INT32) for name in ("a", "b")),
        node("Add", ["a as number", "b as number"], ["sum"]),
        node("Cast", ["sum"], ["y"], to=TensorProto.STRING),
    ]
    inputs = [tensor(name, ["n", 4], TensorProto.STRING) for name in ("a", "b")]
    save_model(root, "texts", nodes, inputs, [tensor("y", ["n", 4], TensorProto.STRING)])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("triton")
    node = helper.make_node
    save_model(
        root, "sum", [node("Add", ["a", "b"], ["y"])], [tensor(x, ["n", 4]) for x in "ab"], [tensor("y", ["n", 4])]
    )
    sum_of_texts(root)
    means = [node("Constant", [], ["axes"], value_ints=[1, 2]), node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)]
    save_model(root, "picture", means, [tensor("x", ["n", 2, 2, 3])], [tensor("y", ["n", 3])])
    (root / "picture" / "config.pbtxt").write_text(PICTURE)
    return root


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, repository: Path) -> Iterator[RunningServer]:
    explicit = ("--control-mode=explicit", "--load-models=*", "--open-rpcs=model_control,shared_memory")
    with running_server(repository, f"--{request.param}", *explicit) as server:
        yield server


@pytest.fixture(params=[triton, triton_http], ids=["grpc", "http"])
def front(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def client(server: RunningServer, front: Any) -> Iterator[Any]:
    with front.InferenceServerClient(server.grpc if front is triton else server.http.removeprefix("http://")) as client:
        yield client


def as_json(front: Any) -> dict[str, bool]:
    return {"as_json": True} if front is triton else {}


def inputs(front: Any, model: str) -> list[Any]:
    datatype, array = ("BYTES", NUMBERS.astype("S")) if model == "texts" else ("FP32", NUMBERS.astype(np.float32))
    made = [front.InferInput(name, [2, 4], datatype) for name in "ab"]
    for one in made:
        one.set_data_from_numpy(array)
    return made


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InferenceServerException) as caught:
        call()
    return str(caught.value.message())


def test_the_server_has_the_name_that_they_expect(client: Any, front: Any) -> None:
    assert client.get_server_metadata(**as_json(front))["name"] == "triton"


def test_it_may_have_another_name(tmp_path: Path) -> None:
    with running_server(tmp_path, "--server-name=mine") as server, triton.InferenceServerClient(server.grpc) as client:
        assert client.get_server_metadata().name == "mine"


def test_a_model_that_is_unknown_is_refused_in_their_words(client: Any, front: Any) -> None:
    for call in (client.get_model_metadata, client.get_model_config, client.get_inference_statistics):
        assert refusal(partial(call, "nobody")) == UNKNOWN
    assert refusal(partial(client.infer, "nobody", inputs(front, "sum"))) == UNKNOWN


def test_a_version_that_is_none_or_unknown_is_refused_in_their_words(client: Any, front: Any) -> None:
    ask = partial(client.infer, "sum", inputs(front, "sum"))
    assert "failed to get model version from specified version string 'new'" in refusal(
        partial(ask, model_version="new")
    )
    assert refusal(partial(ask, model_version="7")).startswith("Request for unknown model: 'sum' version 7 is not fou")


def test_values_beside_raw_data_are_refused_with_the_input_that_has_them(server: RunningServer) -> None:
    facts = {"datatype": "FP32", "shape": [1, 4]}
    typed = {"name": "b", **facts, "contents": {"fp32_contents": [1, 2, 3, 4]}}
    asked = {"model_name": "sum", "inputs": [{"name": "a", **facts}, typed], "raw_input_contents": [bytes(16)]}
    told = "contents field must not be specified when using raw_input_contents for 'b' for model 'sum'"
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError, match=told):
        RawClient(channel)("ModelInfer", **asked)


@pytest.mark.parametrize(
    ("model", "asked", "told"),
    [
        ("nobody", {}, "the repository has no such folder"),
        ("sum", {"config": '"parameters": {}'}, "expected the JSON of a ModelConfig"),
        ("sum", {"config": '{"max_batch_size": 4, "platform": "pytorch_libtorch"}'}, "expected onnxruntime_onnx"),
        ("sum", {"config": "{}", "files": {"file:" + "A" * 256: b"a"}}, "Invalid file path 'AAA"),
    ],
)
def test_what_cannot_be_loaded_failed_to_load(client: Any, model: str, asked: dict[str, Any], told: str) -> None:
    refused = refusal(partial(client.load_model, model, **asked))
    assert refused.startswith(f"failed to load '{model}': ")
    assert told in refused
    assert client.is_server_live()


def test_a_configuration_that_comes_with_a_load_takes_the_place_of_the_own_one(client: Any, front: Any) -> None:
    client.load_model("sum", config='{"max_batch_size": "16"}')
    told = client.get_model_config("sum", **as_json(front))
    assert told.get("config", told)["max_batch_size"] == 16
    client.load_model("sum")


def test_labels_may_come_with_the_files_of_a_model(client: Any, front: Any, repository: Path) -> None:
    files = {"1/model.onnx": (repository / "sum" / "1" / "model.onnx").read_bytes(), "labels.txt": b"cat\ndog\n"}
    output = {"name": "y", "data_type": "TYPE_FP32", "dims": [4], "label_filename": "labels.txt"}
    config = json.dumps({"max_batch_size": 8, "output": [output]})
    client.load_model("labelled", config=config, files={f"file:{name}": content for name, content in files.items()})
    wanted = [front.InferRequestedOutput("y", class_count=3)]
    best = client.infer("labelled", inputs(front, "labelled"), outputs=wanted).as_numpy("y")
    assert best[0].tolist() == [b"6.000000:3", b"4.000000:2", b"2.000000:1:dog"]
    client.unload_model("labelled")


def test_a_region_that_is_unknown_may_be_forgotten_and_not_be_asked_for(client: Any) -> None:
    client.unregister_system_shared_memory("mine")
    assert refusal(partial(client.get_system_shared_memory_status, "mine")) == "unknown shared memory region 'mine'"


def test_without_a_gpu_there_is_no_cuda_memory_and_forgetting_it_is_right(client: Any, front: Any) -> None:
    client.unregister_cuda_shared_memory()
    told = client.get_cuda_shared_memory_status(**as_json(front))
    assert not (told.get("regions") if front is triton else told)
    client.unregister_cuda_shared_memory("mine")
    assert refusal(partial(client.get_cuda_shared_memory_status, "mine")).endswith("shared memory region 'mine'")
    with pytest.raises(InferenceServerException, match="takes no CUDA shared memory") as caught:
        client.register_cuda_shared_memory("mine", b"aGFuZGxl", device_id=0, byte_size=64)
    assert caught.value.status() == {triton: "StatusCode.UNIMPLEMENTED", triton_http: "501"}[front]


def test_a_model_whose_texts_must_be_numbers_is_tried_and_batched_like_any_other(
    server: RunningServer, client: Any, front: Any
) -> None:
    answer = client.infer("texts", inputs(front, "texts")).as_numpy("y")
    assert answer.astype(int).tolist() == (2 * NUMBERS).tolist()
    told = client.get_model_config("texts", **as_json(front))
    assert told.get("config", told)["max_batch_size"] == 32
    assert not [line for line in server.errors if "texts version 1" in line and "warning" in line]


def test_the_order_of_a_pictures_axes_is_what_its_configuration_says(client: Any, front: Any) -> None:
    told = client.get_model_config("picture", **as_json(front))
    assert told.get("config", told)["input"][0]["format"] == "FORMAT_NHWC"
