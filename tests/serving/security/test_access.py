"""Calls that are closed until a setting opens their group."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import grpc
import pytest

from fovea import wire
from fovea.serving.security.access import GROUP_OF
from raw_client import RawClient
from rest_calls import rest
from servers import RunningServer, requests_by_outcome, running_server

MODELS = {"RepositoryModelLoad", "RepositoryModelUnload"}
SHARED_MEMORY = {"SystemSharedMemoryStatus", "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister"}
OTHERS = {"LogSettings": "logging", "TraceSetting": "trace"}


def test_every_call_that_changes_what_others_get_has_its_group() -> None:
    expected = dict.fromkeys(MODELS, "model_control") | dict.fromkeys(SHARED_MEMORY, "shared_memory") | OTHERS
    assert expected == GROUP_OF
    assert set(GROUP_OF) <= set(wire.METHODS)


@pytest.mark.parametrize("rpc", GROUP_OF)
def test_a_closed_call_is_refused_and_the_text_tells_what_opens_it(client: Any, rpc: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client(rpc)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert f"--open-rpcs={GROUP_OF[rpc]}" in caught.value.details()


def test_closed_calls_are_closed_over_http_too(server: RunningServer) -> None:
    status, told, _ = rest(server, "/v2/repository/models/double/unload", {})
    assert (status, "--open-rpcs=model_control" in told["error"]) == (403, True)


def test_a_closed_call_is_refused_over_http_before_its_body_is_read(server: RunningServer) -> None:
    head = b"POST /v2/repository/models/double/load HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n{"
    with socket.create_connection(server.http_address, timeout=30) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 403 ")


def test_tensors_in_shared_memory_are_refused_while_it_is_closed(server: RunningServer, client: Any) -> None:
    before = requests_by_outcome(server)
    place = {"shared_memory_region": {"string_param": "r"}, "shared_memory_byte_size": {"int64_param": 16}}
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
    for fields in (
        {"inputs": [{**tensor, "parameters": place}]},
        {"inputs": [tensor], "raw_input_contents": [bytes(16)], "outputs": [{"name": "y", "parameters": place}]},
    ):
        with pytest.raises(grpc.RpcError, match="--open-rpcs=shared_memory") as caught:
            client("ModelInfer", model_name="double", **fields)
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert requests_by_outcome(server) - before == {"invalid": 2}


CLOSED = {"model_repository", "model_repository(unload_dependents)", "system_shared_memory", "trace", "logging"}


def test_the_metadata_names_the_extensions_that_work(client: Any) -> None:
    extensions = set(client("ServerMetadata").extensions)
    assert {"classification", "statistics", "binary_tensor_data", "model_configuration"} <= extensions
    assert not extensions & {*CLOSED, "sequence", "cuda_shared_memory"}


@pytest.mark.parametrize(("trace_file", "missing"), [("/dev/null", set()), ("", {"trace"})])
def test_the_metadata_names_what_is_opened_and_works(repository: Path, trace_file: str, missing: set[str]) -> None:
    flags = ["--control-mode=explicit", "--open-rpcs=model_control,shared_memory,logging,trace"]
    flags += [f"--trace-file={trace_file}"] if trace_file else []
    with running_server(repository, *flags) as server, grpc.insecure_channel(server.grpc) as channel:
        assert CLOSED & set(RawClient(channel)("ServerMetadata").extensions) == CLOSED - missing
