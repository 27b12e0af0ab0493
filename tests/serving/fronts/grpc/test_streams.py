"""ModelStreamInfer over real sockets, on both lanes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from fovea import wire
from servers import RunningServer, infer_request, running_server, slow_model, total, wait_until

ROW = np.arange(4, dtype=np.float32)
LANES = ("fast-lane", "no-fast-lane")


class Stream:
    """A stream of raw messages that is read when the test says so."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        self.call = channel.stream_stream(wire.path("ModelStreamInfer"))(iter(self._requests.get, None))

    def send(self, *requests: bytes) -> None:
        for request in requests:
            self._requests.put(request)

    def close(self) -> None:
        self._requests.put(None)

    def answer(self) -> Any:
        return wire.message("ModelStreamInferResponse").FromString(next(self.call))


def request(x: Any = ROW[None], model: str = "double", request_id: str = "") -> bytes:
    named = wire.message("ModelInferRequest")(id=request_id).SerializeToString()
    return infer_request(model, x) + bytes(named)


@pytest.fixture
def stream(server: RunningServer) -> Iterator[Stream]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield Stream(channel)


@contextmanager
def tritons_stream(server: RunningServer) -> Iterator[tuple[Any, SimpleQueue[Any]]]:
    answers: SimpleQueue[Any] = SimpleQueue()
    with triton.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: answers.put(error or result))
        yield client, answers
        client.stop_stream()


def triton_input(x: Any) -> list[Any]:
    tensor = triton.InferInput("x", x.shape, "FP32")
    tensor.set_data_from_numpy(x)
    return [tensor]


@pytest.mark.parametrize("empty_final", [False, True])
def test_tritonclient_gets_every_answer_with_its_id_in_order_and_marked_as_the_last_of_its_request(
    server: RunningServer, empty_final: bool
) -> None:
    with tritons_stream(server) as (client, answers):
        for index in range(100):
            x = triton_input(np.full((1 + index % 3, 4), index, np.float32))
            client.async_stream_infer("double", x, request_id=str(index), enable_empty_final_response=empty_final)
        for index in range(100):
            result = answers.get(timeout=20)
            expected = np.full((1 + index % 3, 4), 2 * index, np.float32)
            np.testing.assert_array_equal(result.as_numpy("y"), expected)
            answer = result.get_response()
            assert (answer.id, answer.parameters["triton_final_response"].bool_param) == (str(index), True)


def test_a_bad_request_gets_an_error_and_the_stream_goes_on(server: RunningServer) -> None:
    with tritons_stream(server) as (client, answers):
        client.async_stream_infer("double", triton_input(np.zeros((1, 5), np.float32)))
        client.async_stream_infer("nobody", triton_input(ROW[None]))
        client.async_stream_infer("double", triton_input(ROW[None]))
        assert "expected shape [-1, 4], received [1, 5]" in str(answers.get(timeout=20))
        assert "nobody" in str(answers.get(timeout=20))
        np.testing.assert_array_equal(answers.get(timeout=20).as_numpy("y"), ROW[None] * 2)


def test_an_error_names_the_request_and_bytes_that_are_no_message_are_told(stream: Stream) -> None:
    stream.send(request(np.zeros((1, 5), np.float32), request_id="wrong"), b"\xff\xffgarbage", request(request_id="a"))
    stream.close()
    wrong, garbage, right = (stream.answer() for _ in range(3))
    assert (wrong.infer_response.id, "[1, 5]" in wrong.error_message) == ("wrong", True)
    assert "ModelInferRequest" in garbage.error_message
    assert (right.infer_response.id, right.error_message) == ("a", "")
    with pytest.raises(StopIteration):
        stream.answer()
    assert stream.call.code() == grpc.StatusCode.OK


def test_a_client_that_does_not_read_is_not_read_from_either(server: RunningServer, stream: Stream) -> None:
    count, big = 200, np.ones((1, 200_000), np.float32)  # 0.8 MB each way: more than sockets hold
    before = _rows(server, "any_length")
    stream.send(*[request(big, "any_length")] * count)
    stream.close()
    seen = [before]

    def stands_still() -> bool:
        seen.append(_rows(server, "any_length"))
        return len(seen) > 20 and seen[-1] == seen[-20] > before

    wait_until(stands_still)
    assert seen[-1] - before < count / 2
    for _ in range(count):
        np.testing.assert_array_equal(
            np.frombuffer(stream.answer().infer_response.raw_output_contents[0], np.float32), -big[0]
        )


def _rows(server: RunningServer, model: str, outcome: str = "ok") -> float:
    return total(server.samples(), "fovea_rows_total", model=model, outcome=outcome)


@pytest.mark.parametrize("lane", LANES)
def test_streams_beyond_the_limit_are_refused_and_idle_ones_hold_nobody_up(lane: str, repository: Path) -> None:
    flags = (f"--{lane}", "--max-infer-streams=2", "--handler-threads=2")
    with running_server(repository, *flags) as server, grpc.insecure_channel(server.grpc) as channel:
        idle = [Stream(channel) for _ in range(2)]
        for one in idle:
            one.send(request())
            assert one.answer().infer_response.outputs
        with pytest.raises(grpc.RpcError, match="the limit is 2") as caught:
            Stream(channel).answer()
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        for _ in range(20):
            assert channel.unary_unary(wire.path("ModelInfer"))(request(), timeout=20)
            assert channel.unary_unary(wire.path("ServerLive"))(b"", timeout=20)
        idle[0].call.cancel()
        wait_until(lambda: _opens(channel))


def _opens(channel: grpc.Channel) -> bool:
    stream = Stream(channel)
    stream.send(request())
    stream.close()
    try:
        return bool(stream.answer().infer_response.outputs)
    except grpc.RpcError:
        return False


@pytest.fixture(scope="module", params=LANES)
def slow_server(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = slow_model(tmp_path_factory.mktemp("slow"))
    (repository / "slow" / "model.toml").write_text("batch_rows = 8\n")  # whether it pays or not
    with running_server(repository, f"--{request.param}", "--threads=1") as server:
        yield server


SLOW = request(np.zeros((1, 256), np.float32), "slow")


def test_requests_of_one_stream_share_batches(slow_server: RunningServer) -> None:
    with grpc.insecure_channel(slow_server.grpc) as channel:
        stream = Stream(channel)
        stream.send(*[SLOW] * 8)
        stream.close()
        assert all(stream.answer().infer_response.outputs for _ in range(8))
        told = channel.unary_unary(wire.path("ModelStatistics"))(b"")
        (stats,) = wire.message("ModelStatisticsResponse").FromString(told).model_stats
        assert stats.execution_count < stats.inference_count


def test_a_cancelled_stream_cancels_its_requests(slow_server: RunningServer) -> None:
    with grpc.insecure_channel(slow_server.grpc) as channel:
        stream = Stream(channel)
        stream.send(*[SLOW] * 40)
        assert stream.answer().infer_response.outputs
        stream.call.cancel()
        wait_until(lambda: _rows(slow_server, "slow", "cancelled") > 0)
        assert channel.unary_unary(wire.path("ModelInfer"))(SLOW, timeout=20)


@pytest.mark.parametrize("lane", LANES)
def test_a_shutdown_answers_what_is_in_flight_and_then_ends_the_streams(lane: str, tmp_path: Path) -> None:
    with (
        running_server(slow_model(tmp_path), f"--{lane}", "--threads=1") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        idle, busy = Stream(channel), Stream(channel)
        busy.send(*[SLOW] * 10)
        assert busy.answer().infer_response.outputs
        status: list[int] = []
        ending = threading.Thread(target=lambda: status.append(server.terminate()))
        ending.start()
        answers: list[Any] = []
        with pytest.raises(grpc.RpcError, match="shutting down") as caught:
            answers.extend(iter(busy.answer, None))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert answers
        assert all(bool(one.infer_response.outputs) != ("shutting down" in one.error_message) for one in answers)
        with pytest.raises(grpc.RpcError, match="shutting down"):
            idle.answer()
        ending.join(60)
        assert status == [0]
