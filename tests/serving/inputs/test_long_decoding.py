"""Data that takes long to decode, over real sockets, on both lanes: right answers, and nobody is held up meanwhile."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from onnx import TensorProto, helper
from tritonclient.utils import shared_memory

from bad_requests import INVALID, ROW, infer, tensor
from fovea import wire
from raw_client import RawClient
from servers import (
    RunningServer,
    infer_request,
    plain_models,
    requests_by_outcome,
    running_server,
    save_model,
    wait_until,
)
from servers import tensor as value

LONG = np.linspace(-1, 1, 300_000, dtype=np.float32)[None]
TEXT = struct.pack("<I", 1) + b"a"


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = plain_models(tmp_path_factory.mktemp("repository"))
    x, y = (value(name, ["n", "length"], TensorProto.STRING) for name in "xy")
    save_model(repository, "any_texts", [helper.make_node("Identity", ["x"], ["y"])], [x], [y])
    with running_server(repository, f"--{request.param}", "--open-rpcs=shared_memory", "--max-message-mb=32") as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[RawClient]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield RawClient(channel)


def texts(count: int, raw: bytes) -> dict[str, Any]:
    inputs = [tensor(shape=(1, count), datatype="BYTES")]
    return infer(model_name="any_texts", inputs=inputs, raw_input_contents=[raw])


def typed(x: Any) -> dict[str, Any]:
    inputs = [tensor(shape=x.shape, contents={"fp32_contents": x.ravel()})]
    return infer(model_name="any_length", inputs=inputs, raw_input_contents=[])


def test_many_typed_numbers_are_answered(client: RawClient) -> None:
    (raw,) = client("ModelInfer", **typed(LONG)).raw_output_contents
    np.testing.assert_array_equal(np.frombuffer(raw, np.float32), -LONG[0])


def test_many_texts_are_answered_raw_and_typed(client: RawClient) -> None:
    for request in (
        texts(10_000, TEXT * 10_000),
        infer(
            model_name="any_texts",
            inputs=[tensor(shape=(1, 10_000), datatype="BYTES", contents={"bytes_contents": [b"a"] * 10_000})],
            raw_input_contents=[],
        ),
    ):
        assert client("ModelInfer", **request).raw_output_contents == [TEXT * 10_000]


def test_much_shared_memory_is_answered(server: RunningServer) -> None:
    key = f"/fovea-long-{os.getpid()}"
    region = shared_memory.create_shared_memory_region("long", key, 2 * LONG.nbytes)
    try:
        shared_memory.set_shared_memory_region(region, [LONG])
        x, y = triton.InferInput("x", LONG.shape, "FP32"), triton.InferRequestedOutput("y")
        x.set_shared_memory("long", LONG.nbytes)
        y.set_shared_memory("long", LONG.nbytes, LONG.nbytes)
        with triton.InferenceServerClient(server.grpc) as client:
            client.register_system_shared_memory("long", key, 2 * LONG.nbytes)
            client.infer("any_length", [x], outputs=[y])
            client.unregister_system_shared_memory("long")
        found = shared_memory.get_contents_as_numpy(region, np.float32, LONG.shape, LONG.nbytes)
        np.testing.assert_array_equal(found, -LONG)
    finally:
        shared_memory.destroy_shared_memory_region(region)


def test_what_is_found_wrong_then_is_told_and_counted_as_ever(server: RunningServer, client: RawClient) -> None:
    before = requests_by_outcome(server)
    with pytest.raises(grpc.RpcError, match="input 'x': malformed BYTES, an element of 255 bytes") as caught:
        client("ModelInfer", **texts(10_000, TEXT * 9_999 + b"\xff\0\0\0a"))
    assert caught.value.code() == INVALID
    wait_until(lambda: requests_by_outcome(server) - before == {"invalid": 1})


def test_other_requests_are_answered_while_millions_of_texts_are_decoded(
    server: RunningServer, client: RawClient
) -> None:
    count = 6_000_000
    decoding_s = server.cpu_s + 0.5
    long = client.start("ModelInfer", _serialized(texts(count, bytes(4 * count - 1))), timeout=120)
    wait_until(lambda: server.cpu_s > decoding_s)
    for _ in range(3):
        assert client.send("ModelInfer", infer_request("double", ROW[None])).raw_output_contents
    assert not long.done()
    with pytest.raises(grpc.RpcError, match="malformed BYTES, 3 bytes"):
        long.result()


def test_more_classes_than_can_be_told_are_refused(client: RawClient) -> None:
    wanted = [{"name": "y", "parameters": {"classification": {"int64_param": 2**30}}}]
    request = infer(
        model_name="any_length",
        inputs=[tensor(shape=LONG.shape)],
        raw_input_contents=[LONG.tobytes()],
        outputs=wanted,
    )
    with pytest.raises(grpc.RpcError, match="at most 65536 classes in all, received 1 rows of 300000") as caught:
        client("ModelInfer", **request)
    assert caught.value.code() == INVALID


def _serialized(fields: dict[str, Any]) -> bytes:
    return bytes(wire.message("ModelInferRequest")(**fields).SerializeToString())
