"""Whatever fails on gRPC's serving loop costs at most the call that it befell, is told, and ends nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from grpc import _server
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fakes import FakeInference
from fovea import wire
from fovea.contract.errors import NotFound
from fovea.serving.fronts.grpc.fast_call import FastCall
from fovea.serving.fronts.grpc.fast_stream import FastStream
from fovea.serving.fronts.grpc.grpc_server import GrpcServer
from grpc_servers import grpc_here

ASK = wire.message("ModelInferRequest")(model_name="m").SerializeToString()
LIVE = wire.path("ServerLive")
UNFORESEEN = (grpc.StatusCode.INTERNAL, "internal error; the server's log has the details")


class Faults:
    """What fails once, and how often the server has said that something failed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.told = 0

    def tell(self) -> None:
        self.told += 1

    def in_first(self, owner: Any, name: str, befalls: Callable[..., bool] = lambda *_: True) -> None:
        """Have a function raise, the first time that it is called with what `befalls`."""
        right, failed = getattr(owner, name), []

        def failing(*arguments: Any) -> Any:
            if not failed and befalls(*arguments):
                failed.append(True)
                raise MemoryError
            return right(*arguments)

        self._patch.setattr(owner, name, failing)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


@pytest.fixture
def channel(faults: Faults) -> Iterator[grpc.Channel]:
    """To a server that stops as it should after the test."""
    with grpc_here(on_fault=faults.tell) as server, to(server) as channel:
        yield channel


def to(server: GrpcServer) -> grpc.Channel:
    return grpc.insecure_channel(f"127.0.0.1:{server.port}")


def code_of(call: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


class Guard:
    """Tokens that let everybody in."""

    def check(self, rpc: str, authorization: str | None) -> None:
        pass


def test_a_gate_that_fails_costs_one_call(faults: Faults) -> None:
    faults.in_first(Guard, "check")
    with grpc_here(tokens=Guard(), on_fault=faults.tell) as server, to(server) as channel:
        ask = channel.unary_unary(LIVE)
        assert code_of(lambda: ask(b"", timeout=20)) == UNFORESEEN
        assert all(ask(b"", timeout=20) for _ in range(3))
    assert faults.told == 1


def test_a_message_that_there_is_no_memory_for_costs_one_call(
    channel: grpc.Channel, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    def is_its_message(_call: FastCall, event: Any) -> bool:
        return hasattr(event.batch_operations[0], "message")

    faults.in_first(FastCall, "_on_message", is_its_message)
    ask = channel.unary_unary(LIVE)
    assert code_of(lambda: ask(b"", timeout=20)) == UNFORESEEN
    assert all(ask(b"", timeout=20) for _ in range(3))
    assert faults.told == 1
    assert ["MemoryError" in record.exc_text for record in caplog.records if record.exc_text] == [True]


@pytest.mark.parametrize("after", ["_on_sent_and_closed", "_done"])
def test_a_failure_after_the_answer_costs_nobody_anything(channel: grpc.Channel, faults: Faults, after: str) -> None:
    faults.in_first(FastCall, after)
    ask = channel.unary_unary(LIVE)
    assert all(ask(b"", timeout=20) for _ in range(3))
    assert faults.told == 1


@pytest.mark.parametrize("event", ["_on_message", "_on_message_sent", "_on_close"])
def test_a_failure_on_a_stream_costs_that_stream(faults: Faults, event: str) -> None:
    faults.in_first(FastStream, event)
    with grpc_here(AnsweringInference(), on_fault=faults.tell) as server, to(server) as channel:
        talk = channel.stream_stream(wire.path("ModelStreamInfer"))
        if event == "_on_close":
            assert list(talk(iter([ASK]), timeout=20))
        else:
            assert code_of(lambda: list(talk(iter([ASK]), timeout=20))) == UNFORESEEN
        for _ in range(5):  # more than may be open: what failed holds no place
            assert list(talk(iter([ASK] * 3), timeout=20))
        assert channel.unary_unary(LIVE)(b"", timeout=20)
    assert faults.told == 1


class AnsweringInference(FakeInference):
    """Answers at once, that there is no such model."""

    def submit(self, _request: Any, reply: Any) -> None:
        reply.send(NotFound("no such model"))


def test_a_call_that_grpc_has_no_thread_for_costs_nobody_else_anything(faults: Faults) -> None:
    faults.in_first(_server, "_handle_call")
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc_here(on_fault=faults.tell) as server, to(server) as channel:
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        assert code_of(lambda: list(ask(iter([question]), timeout=20))) == UNFORESEEN
        assert next(ask(iter([question]), timeout=20)).list_services_response.service
        assert code_of(lambda: channel.unary_unary("/no/such")(b"", timeout=20))[0] == grpc.StatusCode.UNIMPLEMENTED
        assert channel.unary_unary(LIVE)(b"", timeout=20)
    assert faults.told == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_whose_loop_has_ended_says_so_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "_handle_call", lambda *_: exit())
    with (
        pytest.raises(AssertionError, match="the loop has"),
        grpc_here() as server,
        to(server) as channel,
    ):
        code_of(lambda: channel.unary_unary("/no/such")(b"", timeout=0.5))
