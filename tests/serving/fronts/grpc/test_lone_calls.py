"""A call on the fast lane tells whether it is alone there: then gRPC's loop has time to run its request."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from fakes import FakeInference
from fovea import wire
from fovea.contract.errors import NotFound
from grpc_servers import grpc_here
from servers import wait_until

ASK = wire.message("ModelInferRequest")(model_name="m").SerializeToString()


class Noting(FakeInference):
    """Notes of each request whether it came alone."""

    def __init__(self) -> None:
        super().__init__()
        self.alone: list[bool] = []

    def submit(self, request: Any, reply: Any) -> None:
        self.alone.append(request.alone)
        super().submit(request, reply)


@pytest.mark.parametrize("fast_lane", [True, False], ids=["fast lane", "pooled lane"])
def test_a_call_is_alone_on_the_fast_lane_while_no_other_is_open(fast_lane: bool) -> None:
    noting = Noting()
    with (
        grpc_here(noting, fast_lane=fast_lane) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        ask = channel.unary_unary(wire.path("ModelInfer"))
        for _ in range(2):
            calls = []
            for count in (1, 2):
                calls.append(ask.future(ASK, timeout=20))
                wait_until(lambda count=count: len(noting.replies) == count)
            while noting.replies:
                noting.replies.pop().send(NotFound("no model"))
            assert all(call.exception() for call in calls)
            wait_until(lambda: not server.unanswered())
    assert noting.alone == [fast_lane, False] * 2
