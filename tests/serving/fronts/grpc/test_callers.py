"""What one caller can take from the others: nothing. Slow, silent, greedy and vanishing callers, over a real socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from onnx import helper

from fovea import wire
from servers import (
    endless_model,
    infer_request,
    requests_by_outcome,
    running_server,
    save_model,
    slow_model,
    tensor,
    wait_until,
)

LONG_S = 60.0
LANES = ["fast-lane", "no-fast-lane"]


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """Set when the test is over: what silent callers wait for."""
    end = threading.Event()
    yield end
    end.set()


def silence(end: threading.Event) -> Iterator[bytes]:
    end.wait(LONG_S)
    yield from ()


def test_calls_that_are_opened_and_send_nothing_hold_no_thread(repository: Path, end: threading.Event) -> None:
    with (
        running_server(repository, "--handler-threads=2") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        paths = [wire.path(method) for method in ("ServerLive", "ModelMetadata", "ModelInfer")]
        paths = [*paths, "/grpc.health.v1.Health/Check"] * 4
        calls = [channel.stream_unary(path).future(silence(end), timeout=LONG_S) for path in paths]
        live = channel.unary_unary(wire.path("ServerLive"))(b"", timeout=20)
        assert wire.message("ServerLiveResponse").FromString(live).live
        assert not any(call.done() for call in calls)
        for call in calls:
            call.cancel()


@pytest.mark.parametrize("lane", LANES)
def test_callers_that_leave_at_any_moment_leave_nothing_behind(repository: Path, lane: str) -> None:
    x = np.ones((1, 4), np.float32)
    with running_server(repository, f"--{lane}") as server, grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(wire.path("ModelInfer"))
        for _ in range(20):
            leaving = [call.future(infer_request("double", x), timeout=LONG_S) for _ in range(20)]
            staying = call.future(infer_request("double", x), timeout=LONG_S)
            for future in leaving:
                future.cancel()
            assert staying.result()
        begun_s = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - begun_s < 5  # a call that were left behind would be waited for longer


def wide_model(repository: Path) -> Path:
    """From one number per row to a row of four million: an answer of 16 MB."""
    node = helper.make_node("Expand", ["x", "size"], ["y"])
    size = helper.make_node("Constant", [], ["size"], value_ints=[1, 4_000_000])
    save_model(repository, "wide", [size, node], [tensor("x", ["n", 1])], [tensor("y", ["n", 4_000_000])])
    return repository


def test_a_caller_that_never_reads_is_left_behind_when_the_drain_time_is_over(tmp_path: Path) -> None:
    with (
        running_server(wide_model(tmp_path), "--drain-timeout=0.5") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        reader = channel.unary_stream(wire.path("ModelInfer"))(infer_request("wide", np.ones((1, 1), np.float32)))
        wait_until(lambda: requests_by_outcome(server)["ok"] == 1)
        assert server.terminate() == 0
        reader.cancel()


def test_requests_that_wait_are_bounded_in_bytes(tmp_path: Path) -> None:
    ballast = np.zeros((1, 160_000), np.float32)
    model = slow_model(tmp_path, ballast.shape[1])
    with (
        running_server(model, "--max-batch-rows=1", "--max-queue-mb=1") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        call = channel.unary_unary(wire.path("ModelInfer"))
        request = infer_request("slow", np.ones((1, 256), np.float32), ballast=ballast)
        futures = [call.future(request, timeout=LONG_S) for _ in range(6)]
        errors = [future.exception() for future in futures]
        refused = [error for error in errors if error is not None]
        assert {error.code() for error in refused} == {grpc.StatusCode.UNAVAILABLE}
        assert all("of 0.6 MB wait" in error.details() and "1 MB" in error.details() for error in refused)
        assert 1 <= len(futures) - len(refused) <= 3
        assert call(request, timeout=LONG_S)


def test_open_reflection_streams_are_few_and_leave_the_others_their_threads(server: Any, end: threading.Event) -> None:
    def questions() -> Iterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        end.wait(LONG_S)

    with grpc.insecure_channel(server.grpc) as channel:
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        streams = [ask(questions(), timeout=LONG_S) for _ in range(4)]
        assert all(next(stream).list_services_response.service for stream in streams)
        with pytest.raises(grpc.RpcError) as caught:
            next(ask(questions(), timeout=20))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "4 reflection streams" in caught.value.details()
        streams.pop().cancel()

        def there_is_room() -> bool:
            with suppress(grpc.RpcError):
                return bool(next(ask(questions(), timeout=20)).list_services_response.service)
            return False

        wait_until(there_is_room)
        for stream in streams:
            stream.cancel()


@pytest.mark.parametrize("letter", ["x", "名", "\n"])
def test_a_callers_own_words_come_back_cut_to_what_fits_into_headers(client: Any, letter: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client("ModelInfer", model_name=letter * 20_000)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert caught.value.details().startswith(f"Request for unknown model: '{letter * 100}")
    assert len(caught.value.details()) <= 1000


def test_a_server_on_an_ipv6_address_answers_there(repository: Path) -> None:
    with running_server(repository, "--host=::1", "--ready-when=any") as server:
        port = server.grpc.rsplit(":", 1)[1]
        with grpc.insecure_channel(f"[::1]:{port}") as channel:
            answer = channel.unary_unary(wire.path("ServerReady"))(b"", timeout=20)
        assert wire.message("ServerReadyResponse").FromString(answer).ready
        for address in (server.http, server.metrics):
            port = address.split("/")[2].rsplit(":", 1)[1]
            with urlopen(f"http://[::1]:{port}/{'metrics' if address == server.metrics else 'v2/health/live'}") as page:
                assert page.status == 200


@pytest.mark.parametrize("lane", LANES)
def test_a_run_whose_callers_deadline_has_passed_is_ended(tmp_path: Path, lane: str) -> None:
    forever = infer_request("endless", np.full((1, 4), 1e9, np.float32))
    short = infer_request("endless", np.ones((1, 4), np.float32))
    with running_server(endless_model(tmp_path), f"--{lane}") as server, grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary(wire.path("ModelInfer"))
        busy_s = server.cpu_s + 0.5
        call = infer.future(forever, timeout=2.0)
        wait_until(lambda: server.cpu_s > busy_s)
        assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        answer = wire.message("ModelInferResponse").FromString(infer(short, timeout=LONG_S))
        assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [1.0] * 4
        wait_until(lambda: requests_by_outcome(server) == {"deadline": 1, "ok": 1})
        assert server.terminate() == 0


def test_off_the_fast_lane_requests_that_wait_for_a_thread_are_bounded(tmp_path: Path) -> None:
    flags = ("--no-fast-lane", "--handler-threads=2", "--max-queue=4", "--max-batch-rows=1")
    request = infer_request("slow", np.ones((1, 256), np.float32))
    with running_server(slow_model(tmp_path), *flags) as server, grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(wire.path("ModelInfer"))
        flood = [call.future(request, timeout=LONG_S) for _ in range(60)]
        refused = [future for future in flood if future.code() is not grpc.StatusCode.OK]
        assert {future.code() for future in refused} == {grpc.StatusCode.UNAVAILABLE}
        assert {future.details() for future in refused} == {"6 ModelInfer calls wait, which is the limit"}
        assert call(request, timeout=LONG_S)
