"""Floods of calls that ask about models or change them: they are bounded, and those whose callers left are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from fovea import wire
from raw_client import RawClient
from servers import RunningServer, plain_models, running_server, slow_model, wait_until

EXPLICIT = ("--control-mode=explicit", "--open-rpcs=model_control")


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Loading model "slow" takes it seconds."""
    repository = plain_models(slow_model(tmp_path_factory.mktemp("repository")))
    flags = (f"--{request.param}", "--max-batch-rows=64", "--handler-threads=2")
    with running_server(repository, *EXPLICIT, *flags) as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[RawClient]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield RawClient(channel)


def load(client: RawClient, model: str) -> Any:
    message = wire.message("RepositoryModelLoadRequest")(model_name=model)
    return client.start("RepositoryModelLoad", message.SerializeToString(), 60)


def start_unload(client: RawClient, model: str) -> Any:
    message = wire.message("RepositoryModelUnloadRequest")(model_name=model)
    return client.start("RepositoryModelUnload", message.SerializeToString(), 60)


def unload(client: RawClient, model: str) -> None:
    client("RepositoryModelUnload", model_name=model)


def is_loading(client: RawClient, model: str) -> bool:
    states = {one.name: one.state for one in client("RepositoryIndex").models}
    return states[model] == "LOADING"


def test_control_calls_that_wait_are_bounded_and_probes_wait_for_none_of_them(
    client: RawClient, server: RunningServer
) -> None:
    flood = [client.start("RepositoryIndex", b"", 60) for _ in range(3000)]
    assert client("ServerLive").live
    assert not all(call.done() for call in flood)
    # Off the fast lane a message that a busy machine brings later than 0.1 s may be cut off.
    cut_off = {grpc.StatusCode.CANCELLED} if "no fast lane" in server.ready_line else set()
    refused = [call for call in flood if call.code() not in {grpc.StatusCode.OK, *cut_off}]
    assert {call.code() for call in refused} == {grpc.StatusCode.UNAVAILABLE}
    assert refused[0].details() == "256 control calls wait, which is the limit"


def test_a_change_whose_caller_left_while_it_waited_is_not_carried_out(client: RawClient) -> None:
    held = load(client, "slow")
    wait_until(lambda: is_loading(client, "slow"))
    for call in [start_unload(client, "slow") for _ in range(3)]:
        call.cancel()
    another_name = {"config": {"string_param": '{"name": "another"}'}}
    refused = wire.message("RepositoryModelLoadRequest")(model_name="slow", parameters=another_name)
    assert "another" in client.start("RepositoryModelLoad", refused.SerializeToString(), 60).details()  # the last turn
    assert held.result() is not None
    assert client("ModelReady", name="slow").ready
    unload(client, "slow")


def test_a_load_waits_for_no_other_models(client: RawClient) -> None:
    held = load(client, "slow")
    wait_until(lambda: is_loading(client, "slow"))
    assert load(client, "double").result() is not None
    assert client("ModelReady", name="double").ready
    assert is_loading(client, "slow")
    assert held.result() is not None
    unload(client, "slow")


def test_loads_that_wait_are_bounded(client: RawClient) -> None:
    held = load(client, "slow")
    wait_until(lambda: is_loading(client, "slow"))
    flood = [load(client, "slow") for _ in range(80)]
    refused = [call for call in flood if call.code() is not grpc.StatusCode.OK]
    assert {call.code() for call in refused} == {grpc.StatusCode.UNAVAILABLE}
    assert {call.details() for call in refused} == {"64 load and unload calls wait, which is the limit"}
    assert held.result() is not None
    unload(client, "slow")
