"""Calls that are closed until a setting opens their group."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from fovea import wire
from fovea.serving.access import GROUP_OF
from rest_calls import rest
from servers import RunningServer


def test_the_table_names_calls_that_there_are() -> None:
    assert set(GROUP_OF) <= set(wire.METHODS)


@pytest.mark.parametrize("rpc", [rpc for rpc, group in GROUP_OF.items() if group == "model_control"])
def test_a_closed_call_is_refused_and_the_text_tells_what_opens_it(client: Any, rpc: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client(rpc)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert f"--open-rpcs={GROUP_OF[rpc]}" in caught.value.details()


def test_closed_calls_are_closed_over_http_too(server: RunningServer) -> None:
    status, told, _ = rest(server, "/v2/repository/models/double/unload", {})
    assert (status, "--open-rpcs=model_control" in told["error"]) == (403, True)
