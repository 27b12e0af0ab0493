"""Shared memory, traces and log settings over HTTP, by Triton's client: what works, and how it refuses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, shared_memory

from servers import RunningServer, running_server, wait_until

X = np.arange(12, dtype=np.float32).reshape(3, 4)
SIZE = 4096


@pytest.fixture(scope="module")
def server(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    traces = tmp_path_factory.mktemp("traces") / "traces.jsonl"
    with running_server(
        repository, "--open-rpcs=shared_memory,trace,logging", f"--trace-file={traces}", "--max-batch-rows=8"
    ) as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.http.removeprefix("http://")) as client:
        yield client
        client.unregister_system_shared_memory()


@pytest.fixture
def key() -> Iterator[str]:
    """The key of an object of 4 KB in shared memory."""
    handle = shared_memory.create_shared_memory_region("r", f"/fovea-rest-{os.getpid()}", SIZE)
    yield str(handle._shm_key)
    shared_memory.destroy_shared_memory_region(handle)


def infer(client: Any, *, region: str = "", offset: int = 0, output_bytes: int = 0) -> np.ndarray:
    """Doubles X, which comes from the region where one is named, as does the output's place where it has a size."""
    tensor, output = triton.InferInput("x", X.shape, "FP32"), triton.InferRequestedOutput("y")
    if region:
        tensor.set_shared_memory(region, X.nbytes, offset)
    else:
        tensor.set_data_from_numpy(X)
    if output_bytes:
        output.set_shared_memory("r", output_bytes, SIZE // 2)
    return client.infer("double", [tensor], outputs=[output]).as_numpy("y")


def test_regions_come_and_go(client: Any, key: str) -> None:
    client.register_system_shared_memory("r", key, 1024, offset=64)
    expected = [{"name": "r", "key": key, "offset": 64, "byte_size": 1024}]
    assert client.get_system_shared_memory_status() == client.get_system_shared_memory_status("r") == expected
    client.unregister_system_shared_memory("r")
    assert client.get_system_shared_memory_status() == []


@pytest.mark.parametrize(
    ("ask", "status", "told"),
    [
        (lambda client, key: client.register_system_shared_memory("r", key, 64), "409", "'r' is already registered"),
        (lambda client, key: client.register_system_shared_memory("n", key, 64, offset=SIZE), "400", "4096"),
        (lambda client, key: client.register_system_shared_memory("n", key, SIZE + 1), "500", "4097"),
        (lambda client, _: client.register_system_shared_memory("n", "/fovea-nobody", 64), "404", "/fovea-nobody"),
        (lambda client, _: client.get_system_shared_memory_status("nobody"), "404", "'nobody'"),
        (lambda client, _: infer(client, region="nobody"), "404", "'nobody'"),
        (lambda client, _: infer(client, region="r", offset=SIZE - 47), "400", "4096"),
        (lambda client, _: infer(client, output_bytes=X.nbytes - 1), "500", "the output has 48 bytes"),
        (lambda client, _: client.update_trace_settings("nobody", {"trace_rate": "1"}), "404", "'nobody'"),
        (lambda client, _: client.update_trace_settings(None, {"trace_rate": "0"}), "400", "trace_rate"),
        (lambda client, _: client.update_log_settings({"log_file": "/etc/passwd"}), "400", "over the network"),
    ],
)
def test_what_cannot_be_has_the_status_and_the_text_of_its_error(
    client: Any, key: str, ask: Callable[[Any, str], object], status: str, told: str
) -> None:
    client.register_system_shared_memory("r", key, SIZE)
    with pytest.raises(InferenceServerException, match=told) as caught:
        ask(client, key)
    assert caught.value.status() == status
    np.testing.assert_array_equal(infer(client), 2 * X)


def test_trace_settings_are_changed_and_put_back(client: Any) -> None:
    before = client.get_trace_settings()
    told = client.update_trace_settings("double", {"trace_level": ["TIMESTAMPS"], "trace_rate": "1"})
    assert (told["trace_level"], told["trace_rate"]) == (["TIMESTAMPS"], "1")
    infer(client)
    wait_until(lambda: Path(told["trace_file"]).exists() and "REQUEST_END" in Path(told["trace_file"]).read_text())
    assert client.get_trace_settings() == before
    assert client.update_trace_settings("double", {"trace_level": None, "trace_rate": None}) == before


def test_log_settings_are_changed_and_told(client: Any) -> None:
    before = client.get_log_settings()
    assert before["log_info"] is True
    assert client.update_log_settings({"log_info": False}) == {**before, "log_info": False}
    assert client.update_log_settings({"log_info": True}) == before
