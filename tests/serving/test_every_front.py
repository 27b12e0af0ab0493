"""What is promised on every front: gRPC's two lanes, and HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from front_callers import FRONTS, Caller
from servers import (
    RunningServer,
    endless_model,
    requests_by_outcome,
    running_server,
    save_model,
    slow_model,
    taken_in,
    tensor,
    wait_until,
)

every_front = pytest.mark.parametrize("front", FRONTS)
X = np.ones((1, 256), np.float32)
SHORT, FOREVER = (np.full((1, 4), turns, np.float32) for turns in (1, 1e9))


@contextmanager
def called(front: str, repository: Path, *flags: str) -> Iterator[tuple[RunningServer, Caller]]:
    lane, over = FRONTS[front]
    with running_server(repository, lane, *flags) as server, over(server) as caller:
        yield server, caller


@every_front
def test_sigterm_answers_what_is_in_flight_refuses_what_is_new_and_exits_0(tmp_path: Path, front: str) -> None:
    with called(front, slow_model(tmp_path), "--max-batch-rows=1", "--handler-threads=64") as (server, caller):
        held = [caller.ask("slow", X) for _ in range(60)]
        wait_until(lambda: taken_in(server) >= len(held) - 1)  # one may run
        stopping = threading.Thread(target=server.terminate)
        stopping.start()
        wait_until(lambda: not caller.says("ready"))
        assert caller.says("live")

        def one_is_refused() -> bool:
            """Until the server drains, a call waits behind those held: not longer than its time-out."""
            code, text = caller.ask("slow", X, timeout=1).answer()
            return code == "UNAVAILABLE" and text == "the server is shutting down"

        wait_until(one_is_refused)
        for code, y in (one.answer() for one in held):
            assert (code, y.tolist()) == ("OK", X[0].tolist())
        stopping.join()
        assert server.process.returncode == 0


@every_front
@pytest.mark.parametrize(
    ("codes", "full", "timed_out"),
    [("triton", "UNAVAILABLE", "UNAVAILABLE"), ("grpc", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")],
)
def test_a_full_queue_and_a_time_out_in_it_have_the_codes_of_the_setting(
    tmp_path: Path, front: str, codes: str, full: str, timed_out: str
) -> None:
    flags = ("--max-batch-rows=1", "--max-queue=4", f"--status-codes={codes}")
    with called(front, slow_model(tmp_path), *flags) as (_, caller):
        caller.ask("slow", X).answer()
        running = caller.ask("slow", X)
        code, text = caller.ask("slow", X, timeout=1).answer()
        assert (code, "in the queue" in text) == (timed_out, True)
        answers = [one.answer() for one in [caller.ask("slow", X) for _ in range(40)]]
        refused = [(code, text) for code, text in answers if code != "OK"]
        assert {code for code, _ in refused} == {full}
        assert all("the limit is 4" in text for _, text in refused)
        assert len(refused) < len(answers)
        assert running.answer()[0] == "OK"


@every_front
def test_callers_that_leave_free_their_places_in_the_queue(tmp_path: Path, front: str) -> None:
    with called(front, slow_model(tmp_path), "--max-batch-rows=1", "--max-queue=30") as (server, caller):
        caller.ask("slow", X).answer()
        leaving = [caller.ask("slow", X) for _ in range(30)]
        wait_until(lambda: taken_in(server) >= len(leaving) - 5)  # some may have been answered
        for one in leaving:
            one.leave()
        wait_until(lambda: caller.ask("slow", X).answer()[0] == "OK")
        wait_until(lambda: requests_by_outcome(server).get("cancelled", 0) > 5)


@every_front
@pytest.mark.parametrize("before", [0, 2])
def test_a_run_that_nobody_waits_for_any_more_is_ended(tmp_path: Path, front: str, before: int) -> None:
    with called(front, endless_model(tmp_path)) as (server, caller):
        for _ in range(before):
            caller.ask("endless", SHORT).answer()
        busy_s = server.cpu_s + 0.5
        left = caller.ask("endless", FOREVER)
        wait_until(lambda: server.cpu_s > busy_s)
        left.leave()
        code, y = caller.ask("endless", SHORT).answer()
        assert (code, y.tolist()) == ("OK", [1.0] * 4)
        wait_until(lambda: requests_by_outcome(server) == {"cancelled": 1, "ok": 1 + before})
        assert server.terminate() == 0


@every_front
def test_a_slow_reader_gets_its_answer_within_the_drain_time(tmp_path: Path, front: str) -> None:
    node, size = helper.make_node("Expand", ["x", "size"], ["y"]), [1, 4_000_000]
    constant = helper.make_node("Constant", [], ["size"], value_ints=size)
    save_model(tmp_path, "wide", [constant, node], [tensor("x", ["n", 1])], [tensor("y", ["n", size[1]])])
    with called(front, tmp_path) as (server, caller):
        slow = caller.ask("wide", np.ones((1, 1), np.float32))
        wait_until(lambda: requests_by_outcome(server).get("ok") == 1)
        stopping = threading.Thread(target=server.terminate)
        stopping.start()
        wait_until(lambda: not caller.says("ready"))
        assert stopping.is_alive()
        code, y = slow.answer()
        assert (code, y.size) == ("OK", size[1])
        stopping.join()
        assert server.process.returncode == 0
