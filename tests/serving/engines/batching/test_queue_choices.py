"""What a model.toml says of its queue holds for callers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import grpc
import numpy as np
import pytest

from fovea import wire
from servers import RunningServer, infer_request, running_server, slow_model, total, wait_until

WAITING = "fovea_waiting_requests"
ROWS = 256
"""In the largest request, which keeps the model busy for a second or two."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = slow_model(tmp_path_factory.mktemp("choices"))
    for name in ("hasty", "fours"):
        shutil.copytree(repository / "slow", repository / name)
    choose(repository, "fours", "preferred_batch_rows = [4]")
    choose(repository, "slow", "batch_rows = 1\nmax_queue = 4\npriority_levels = 2")
    choose(repository, "hasty", "batch_rows = 1\ndefault_timeout_s = 0.1")
    with running_server(repository, f"--max-batch-rows={ROWS}") as server:
        yield server


def choose(repository: Path, model: str, text: str) -> None:
    (repository / model / "model.toml").write_text(text)


@pytest.fixture
def caller(server: RunningServer) -> Iterator[Caller]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield Caller(channel)


class Caller:
    """Sends requests on one connection, each under a name; `ended` has the calls in the order they end."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._call = channel.unary_unary(wire.path("ModelInfer"))
        self.ended: SimpleQueue[tuple[str, grpc.Future]] = SimpleQueue()

    def send(self, name: str, model: str = "slow", *, rows: int = 1, priority: int = 0) -> None:
        plain = infer_request(model, np.ones((rows, 256), np.float32))
        request = wire.message("ModelInferRequest").FromString(plain)
        request.parameters["priority"].uint64_param = priority
        future = self._call.future(request.SerializeToString(), timeout=60)
        future.add_done_callback(lambda call: self.ended.put((name, call)))


def waiting(server: RunningServer) -> float:
    """Requests in the queue of the model."""
    return total(server.samples(), WAITING, model="slow")


def test_the_first_level_goes_before_the_others_and_who_asks_for_none_is_of_the_last(
    server: RunningServer, caller: Caller
) -> None:
    for _ in range(2):
        caller.send("busy", rows=ROWS, priority=1)
    wait_until(lambda: waiting(server) == 1)
    for priority in (0, 2):
        caller.send("last", priority=priority)
    wait_until(lambda: waiting(server) == 3)
    caller.send("first", priority=1)
    ended = [caller.ended.get(timeout=60) for _ in range(5)]
    # two of one level may change places: gRPC rounds the deadlines that it sends
    assert [name for name, _ in ended][3:] == ["last", "last"]
    assert {call.code() for _, call in ended} == {grpc.StatusCode.OK}


def test_a_models_own_bound_of_its_queue_holds(caller: Caller) -> None:
    for _ in range(20):
        caller.send("one of many", rows=ROWS // 16)
    calls = [caller.ended.get(timeout=60)[1] for _ in range(20)]
    refused = [call for call in calls if call.code() == grpc.StatusCode.UNAVAILABLE]
    assert {call.code() for call in calls if call not in refused} == {grpc.StatusCode.OK}
    assert refused
    assert all("the limit is 4" in call.details() for call in refused)


def test_who_says_nothing_waits_no_longer_than_the_model_lets_it(caller: Caller) -> None:
    for _ in range(2):
        caller.send("hasty", "hasty", rows=ROWS)
    codes = {call.code(): call.details() for _, call in (caller.ended.get(timeout=60) for _ in range(2))}
    assert codes.keys() == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert "in the queue" in codes[grpc.StatusCode.UNAVAILABLE]


def test_preferred_sizes_are_made_whatever_was_measured_to_pay(server: RunningServer, caller: Caller) -> None:
    caller.send("busy", "fours", rows=ROWS)
    for _ in range(8):
        caller.send("one of eight", "fours")
    calls = [caller.ended.get(timeout=60)[1] for _ in range(9)]
    assert {call.code() for call in calls} == {grpc.StatusCode.OK}
    with grpc.insecure_channel(server.grpc) as channel:
        asked = wire.message("ModelStatisticsRequest")(name="fours").SerializeToString()
        answer = channel.unary_unary(wire.path("ModelStatistics"))(asked, timeout=20)
    statistics = wire.message("ModelStatisticsResponse").FromString(answer).model_stats[0]
    sizes = {batch.batch_size: batch.compute_infer.count for batch in statistics.batch_stats}
    assert sizes[ROWS] == 1
    assert max(rows for rows in sizes if rows != ROWS) == 4
