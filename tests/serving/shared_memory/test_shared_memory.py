"""Tensors in system shared memory, by tritonclient over real sockets, on both lanes."""

from __future__ import annotations

import os
import resource
import weakref
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as http_client
from tritonclient.utils import InferenceServerException, shared_memory

from fovea.serving.shared_memory.places import Place
from fovea.serving.shared_memory.regions import Regions
from raw_client import RawClient
from rest_calls import rest
from servers import (
    RunningServer,
    endless_model,
    infer_request,
    plain_models,
    requests_by_outcome,
    running_server,
    total,
    wait_until,
)

X = np.arange(12, dtype=np.float32).reshape(3, 4)
OPEN = "--open-rpcs=shared_memory"


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = endless_model(plain_models(tmp_path_factory.mktemp("repository")))
    with running_server(repository, f"--{request.param}", OPEN, "--threads=1", "--max-queue-mb=1") as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client
        client.unregister_system_shared_memory()


@pytest.fixture
def raw(server: RunningServer) -> Iterator[RawClient]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield RawClient(channel)


@pytest.fixture
def region() -> Iterator[Any]:
    """8 KB: inputs from 0 on, outputs from 4096 on."""
    handle = shared_memory.create_shared_memory_region("r", f"/fovea-test-{os.getpid()}", 8192)
    yield handle
    shared_memory.destroy_shared_memory_region(handle)


def key(region: Any) -> str:
    return str(region._shm_key)


def shared_input(name: str, x: Any, offset: int = 0, region: str = "r") -> Any:
    tensor = triton.InferInput(name, x.shape, "FP32")
    tensor.set_shared_memory(region, x.nbytes, offset)
    return tensor


def shared_output(byte_size: int = X.nbytes, offset: int = 4096, region: str = "r") -> Any:
    output = triton.InferRequestedOutput("y")
    output.set_shared_memory(region, byte_size, offset)
    return output


def test_inputs_and_outputs_travel_in_shared_memory(client: Any, region: Any) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    for turn in range(3):  # the same header, other data
        shared_memory.set_shared_memory_region(region, [X + turn])
        answer = client.infer("double", [shared_input("x", X)], outputs=[shared_output()], request_id="a")
        told = answer.get_response()
        assert (told.id, list(told.raw_output_contents)) == ("a", [b""])
        (output,) = told.outputs
        assert output.parameters["shared_memory_region"].string_param == "r"
        assert output.parameters["shared_memory_offset"].int64_param == 4096
        assert output.parameters["shared_memory_byte_size"].int64_param == X.nbytes
        found = shared_memory.get_contents_as_numpy(region, np.float32, X.shape, 4096)
        np.testing.assert_array_equal(found, 2 * (X + turn))
        plain = client.infer("double", [shared_input("x", X)])
        np.testing.assert_array_equal(plain.as_numpy("y"), 2 * (X + turn))


def test_large_outputs_are_put_where_they_belong(client: Any) -> None:
    x = np.arange(60_000, dtype=np.float32)[None]
    handle = shared_memory.create_shared_memory_region("large", f"/fovea-test-large-{os.getpid()}", 2 * x.nbytes + 1)
    try:
        client.register_system_shared_memory("large", key(handle), 2 * x.nbytes + 1)
        shared_memory.set_shared_memory_region(handle, [x])
        output = shared_output(x.nbytes, x.nbytes + 1, "large")
        client.infer("any_length", [shared_input("x", x, region="large")], outputs=[output])
        end = shared_memory.get_contents_as_numpy(handle, np.uint8, (2 * x.nbytes + 1,))[x.nbytes :]
        assert bytes(end) == b"\0" + (-x).tobytes()
    finally:
        shared_memory.destroy_shared_memory_region(handle)


def test_some_inputs_may_be_shared_and_others_sent(client: Any, region: Any) -> None:
    client.register_system_shared_memory("r", key(region), 4096, offset=4096)
    shared_memory.set_shared_memory_region(region, [X], offset=4096 + 64)
    sent = triton.InferInput("b", X.shape, "FP32")
    sent.set_data_from_numpy(np.ones_like(X))
    answer = client.infer("pair", [shared_input("x", X, 64), sent])
    np.testing.assert_array_equal(answer.as_numpy("y"), X - 1)


def test_typed_contents_may_come_beside_shared_memory(client: Any, raw: RawClient, region: Any) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    shared_memory.set_shared_memory_region(region, [X])
    place = {"shared_memory_region": {"string_param": "r"}, "shared_memory_byte_size": {"int64_param": X.nbytes}}
    typed = {"name": "b", "datatype": "FP32", "shape": X.shape, "contents": {"fp32_contents": np.ones(12)}}
    x = {"name": "x", "datatype": "FP32", "shape": X.shape, "parameters": place}
    (answer,) = raw("ModelInfer", model_name="pair", inputs=[x, typed]).raw_output_contents
    np.testing.assert_array_equal(np.frombuffer(answer, np.float32), (X - 1).ravel())


def test_texts_travel_in_shared_memory(client: Any, region: Any) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    data = b"\1\0\0\0a\2\0\0\0bc"
    region._mpsm_handle.buf[: len(data)] = data
    tensor = triton.InferInput("x", [1, 2], "BYTES")
    tensor.set_shared_memory("r", len(data))
    client.infer("texts", [tensor], outputs=[shared_output(64)])
    found = shared_memory.get_contents_as_numpy(region, np.object_, [1, 2], 4096)
    assert found.tolist() == [[b"a", b"bc"]]


def test_a_region_is_looked_up_for_every_request(client: Any, region: Any) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    shared_memory.set_shared_memory_region(region, [X, X + 100])
    first = client.infer("double", [shared_input("x", X)]).as_numpy("y")
    client.unregister_system_shared_memory("r")
    with pytest.raises(InferenceServerException, match="no region of this name is registered") as caught:
        client.infer("double", [shared_input("x", X)])
    assert caught.value.status() == "StatusCode.NOT_FOUND"
    client.register_system_shared_memory("r", key(region), 4096, offset=X.nbytes)
    second = client.infer("double", [shared_input("x", X)]).as_numpy("y")
    np.testing.assert_array_equal(second - first, np.full(X.shape, 200))


def test_status_tells_what_is_registered(client: Any, region: Any) -> None:
    for name, offset in (("one", 0), ("two", 4096)):
        client.register_system_shared_memory(name, key(region), 4096, offset)
    told = client.get_system_shared_memory_status().regions
    assert {name: (one.key, one.offset, one.byte_size) for name, one in told.items()} == {
        "one": (key(region), 0, 4096),
        "two": (key(region), 4096, 4096),
    }
    assert list(client.get_system_shared_memory_status("two").regions) == ["two"]
    client.unregister_system_shared_memory("one")
    assert list(client.get_system_shared_memory_status().regions) == ["two"]


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({"name": ""}, "INVALID_ARGUMENT", "name of a region"),
        ({"name": "r"}, "ALREADY_EXISTS", "'r' is already registered"),
        ({"key": "/fovea-nobody"}, "NOT_FOUND", "'/fovea-nobody'"),
        ({"key": "triton_python_backend_shm_region_1"}, "INVALID_ARGUMENT", "reserved"),
        ({"key": "/triton_python_backend_shm_region_1"}, "INVALID_ARGUMENT", "reserved"),
        ({"key": "//triton_python_backend_shm_region_1"}, "INVALID_ARGUMENT", "expected a name"),
        ({"key": "../../etc/passwd"}, "INVALID_ARGUMENT", "expected a name"),
        ({"key": ".."}, "INVALID_ARGUMENT", "expected a name"),
        ({"key": ""}, "INVALID_ARGUMENT", "expected a name"),
        ({"key": "a\0b"}, "INVALID_ARGUMENT", "expected a name"),
        ({"offset": 8192}, "INVALID_ARGUMENT", "8192"),
        ({"byte_size": 0}, "INVALID_ARGUMENT", "8192"),
        ({"byte_size": 8193}, "INTERNAL", "8193"),
        ({"offset": 2**64 - 1, "byte_size": 2**64 - 1}, "INVALID_ARGUMENT", "8192"),
    ],
)
def test_what_cannot_be_registered_is_told(
    client: Any, raw: RawClient, region: Any, fields: dict[str, Any], code: str, told: str
) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    with pytest.raises(grpc.RpcError) as caught:
        raw("SystemSharedMemoryRegister", **{"name": "new", "key": key(region), "byte_size": 8192, **fields})
    assert (caught.value.code().name, told in caught.value.details()) == (code, True), caught.value.details()


def test_a_link_to_elsewhere_is_no_shared_memory(raw: RawClient, tmp_path: Path) -> None:
    link = Path(f"/dev/shm/fovea-link-{os.getpid()}")
    (tmp_path / "secret").write_bytes(bytes(64))
    link.symlink_to(tmp_path / "secret")
    try:
        with pytest.raises(grpc.RpcError) as caught:
            raw("SystemSharedMemoryRegister", name="link", key=link.name, byte_size=64)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    finally:
        link.unlink()


def test_an_unknown_region_is_told(raw: RawClient) -> None:
    with pytest.raises(grpc.RpcError, match="'nobody'") as caught:
        raw("SystemSharedMemoryStatus", name="nobody")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("inputs", "outputs", "code", "told"),
    [
        ([shared_input("x", X, region="nobody")], None, "NOT_FOUND", "'nobody'"),
        ([shared_input("x", X, 8192 - 47)], None, "INVALID_ARGUMENT", "8192"),
        ([shared_input("x", X[:, :3])], None, "INVALID_ARGUMENT", "expected shape"),
        ([shared_input("x", X)], [shared_output(region="nobody")], "NOT_FOUND", "'nobody'"),
        ([shared_input("x", X)], [shared_output(offset=8192 - 47)], "INVALID_ARGUMENT", "8192"),
        ([shared_input("x", X)], [shared_output(X.nbytes - 1)], "INTERNAL", "the output has 48 bytes"),
    ],
)
def test_places_that_do_not_fit_are_told(
    server: RunningServer, client: Any, region: Any, inputs: Any, outputs: Any, code: str, told: str
) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    before = requests_by_outcome(server)
    for _ in range(2):
        with pytest.raises(InferenceServerException, match=told) as caught:
            client.infer("double", inputs, outputs=outputs)
        assert caught.value.status() == f"StatusCode.{code}"
    wait_until(lambda: requests_by_outcome(server) - before == {"invalid": 2})  # a mistake of the caller's


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"shared_memory_region": {"string_param": "r"}}, "without 'shared_memory_byte_size'"),
        ({"shared_memory_byte_size": {"int64_param": 48}}, "without 'shared_memory_region'"),
        (
            {"shared_memory_region": {"string_param": "r"}, "shared_memory_byte_size": {"int64_param": -1}},
            "shared_memory_byte_size must be an integer",
        ),
        (
            {"shared_memory_region": {"int64_param": 1}, "shared_memory_byte_size": {"int64_param": 48}},
            "shared_memory_region must be a text",
        ),
        (
            {"shared_memory_region": {"string_param": "r"}, "shared_memory_byte_size": {"int64_param": 47}},
            "expected 48 bytes for FP32",
        ),
    ],
)
def test_parameters_that_do_not_fit_are_told(raw: RawClient, parameters: Any, told: str) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [3, 4], "parameters": parameters}
    with pytest.raises(grpc.RpcError, match=told) as caught:
        raw("ModelInfer", model_name="double", inputs=[tensor])
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_an_object_that_its_client_has_cut_short_costs_an_error_and_not_the_server(client: Any, region: Any) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    os.truncate(f"/dev/shm{key(region)}", 16)
    with pytest.raises(InferenceServerException, match="cut short"):
        client.infer("double", [shared_input("x", X)])
    sent = triton.InferInput("x", X.shape, "FP32")
    sent.set_data_from_numpy(X)
    with pytest.raises(InferenceServerException, match="cut short"):
        client.infer("double", [sent], outputs=[shared_output()])
    assert Path(f"/dev/shm{key(region)}").stat().st_size == 16
    np.testing.assert_array_equal(client.infer("double", [sent]).as_numpy("y"), 2 * X)


def test_an_output_that_only_partly_fits_into_the_machines_memory_is_an_error(
    server: RunningServer, client: Any, region: Any
) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    shared_memory.set_shared_memory_region(region, [X])
    unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    try:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096 + 16, unlimited[1]))  # as full memory does
        with pytest.raises(InferenceServerException, match="48 bytes cannot be written: "):
            client.infer("double", [shared_input("x", X)], outputs=[shared_output()])
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
    client.infer("double", [shared_input("x", X)], outputs=[shared_output()])
    np.testing.assert_array_equal(shared_memory.get_contents_as_numpy(region, np.float32, X.shape, 4096), 2 * X)


def test_a_region_that_a_request_in_flight_will_be_answered_in_cannot_be_unregistered(
    server: RunningServer, client: Any, raw: RawClient, region: Any
) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    busy_s = server.cpu_s + 0.3
    running = raw.start("ModelInfer", infer_request("endless", np.full((1, 4), 1e9, np.float32)), timeout=60)
    wait_until(lambda: server.cpu_s > busy_s)
    sent = triton.InferInput("x", [1, 4], "FP32")
    sent.set_data_from_numpy(np.ones((1, 4), np.float32))
    held = client.async_infer("endless", [sent], lambda **_: None, outputs=[shared_output(1024)])
    wait_until(lambda: total(server.samples(), "fovea_waiting_requests", model="endless") == 1)
    with pytest.raises(InferenceServerException, match="in use") as caught:
        client.unregister_system_shared_memory("r")
    assert caught.value.status() == "StatusCode.UNAVAILABLE"
    held.cancel()
    running.cancel()
    wait_until(lambda: _unregistered(client, region))


def test_what_a_client_writes_after_its_request_was_taken_in_changes_nothing(
    server: RunningServer, client: Any, raw: RawClient, region: Any
) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    shared_memory.set_shared_memory_region(region, [np.ones((1, 4), np.float32)])
    busy_s = server.cpu_s + 0.3
    running = raw.start("ModelInfer", infer_request("endless", np.full((1, 4), 1e9, np.float32)), timeout=60)
    wait_until(lambda: server.cpu_s > busy_s)
    answers = SimpleQueue[Any]()
    x = shared_input("x", np.empty((1, 4), np.float32))
    client.async_infer("endless", [x], lambda result, error: answers.put((result, error)))
    wait_until(lambda: total(server.samples(), "fovea_waiting_requests", model="endless") == 1)
    shared_memory.set_shared_memory_region(region, [np.full((1, 4), 9, np.float32)])
    running.cancel()
    result, error = answers.get(timeout=60)
    assert error is None
    assert result.as_numpy("y").tolist() == [[1, 1, 1, 1]]


def _unregistered(client: Any, region: Any) -> bool:
    """Whether it could be unregistered; then it is registered again."""
    try:
        client.unregister_system_shared_memory("r")
    except InferenceServerException:
        return False
    client.register_system_shared_memory("r", key(region), 8192)
    return True


def test_regions_are_limited(client: Any, region: Any) -> None:
    for index in range(256):
        client.register_system_shared_memory(str(index), key(region), 16)
    with pytest.raises(InferenceServerException, match="256") as caught:
        client.register_system_shared_memory("one more", key(region), 16)
    assert caught.value.status() == "StatusCode.UNAVAILABLE"


class Name(str):
    """A text whose end can be watched."""


def test_a_region_that_was_used_and_unregistered_is_forgotten_with_its_name(region: Any) -> None:
    regions, name = Regions({"shared_memory"}), Name("used")
    regions.register(name, key(region), 0, 64)
    regions.hold([Place("y", name, 0, 64)]).release()
    regions.unregister(name)
    there = weakref.ref(name)
    del name
    assert there() is None


def test_shared_memory_works_over_http_too(client: Any, region: Any, server: RunningServer) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    shared_memory.set_shared_memory_region(region, [X])
    tensor, output = http_client.InferInput("x", X.shape, "FP32"), http_client.InferRequestedOutput("y")
    tensor.set_shared_memory("r", X.nbytes)
    output.set_shared_memory("r", X.nbytes, 4096)
    with http_client.InferenceServerClient(server.http.removeprefix("http://")) as over_http:
        over_http.infer("double", [tensor], outputs=[output])
    np.testing.assert_array_equal(shared_memory.get_contents_as_numpy(region, np.float32, X.shape, 4096), 2 * X)


@pytest.mark.usefixtures("client")  # which unregisters what is left
@pytest.mark.parametrize("name", ["/r", "a/b", "status"])
def test_regions_of_any_name_are_reached_over_http(region: Any, server: RunningServer, name: str) -> None:
    with http_client.InferenceServerClient(server.http.removeprefix("http://")) as over_http:
        over_http.register_system_shared_memory(name, key(region), 8192)
        assert [one["name"] for one in over_http.get_system_shared_memory_status(name)] == [name]
        over_http.unregister_system_shared_memory(name)
        assert not over_http.get_system_shared_memory_status()


def test_no_name_in_a_path_does_not_mean_every_region(client: Any, region: Any, server: RunningServer) -> None:
    client.register_system_shared_memory("r", key(region), 8192)
    status, told, _ = rest(server, "/v2/systemsharedmemory/region//unregister", b"")
    assert (status, told) == (400, {"error": "expected a name, received none"})
    assert list(client.get_system_shared_memory_status().regions) == ["r"]
