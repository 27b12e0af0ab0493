"""Any bytes to a server's gRPC front, and what came, in bounded time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from fovea import wire
from fovea.client.channels import Access, open_channel, token_metadata
from fovea.client.conformance.case import NO_ANSWER, Came

_MOST_BYTES = 64 << 20
_MOST_ANSWERS = 100
_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", _MOST_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)


class GrpcFront:
    """A channel to the server, on which every call ends after `timeout_s` at the latest."""

    name = "gRPC"

    def __init__(self, address: str, timeout_s: float, access: Access) -> None:
        self.address, self._timeout_s = address, timeout_s
        self._metadata = token_metadata(access)
        self._channel = open_channel(grpc, address, access, _OPTIONS)

    def close(self) -> None:
        """Give the connection back."""
        self._channel.close()

    def call(self, method: str, **fields: Any) -> Came:
        """A unary call with a message of these fields."""
        return self.send(method, wire.message(f"{method}Request")(**fields).SerializeToString())

    def send(self, method: str, data: bytes) -> Came:
        """A unary call with any bytes."""
        return self.send_to(wire.path(method), data, wire.message(f"{method}Response"))

    def send_to(self, path: str, data: bytes, answer: Any) -> Came:
        """Any bytes to any path; `answer` is the class of the message that comes back."""
        try:
            body = self._channel.unary_unary(path)(data, timeout=self._timeout_s, metadata=self._metadata)
            return _message(answer, body)
        except grpc.RpcError as error:
            return self._failed(error)

    def together(self, method: str, messages: Sequence[bytes]) -> list[Came]:
        """All at once, and what came of each."""
        stub = self._channel.unary_unary(wire.path(method))
        calls = [stub.future(data, timeout=self._timeout_s, metadata=self._metadata) for data in messages]
        return [self._result(wire.message(f"{method}Response"), call) for call in calls]

    def abandon(self, method: str, data: bytes) -> None:
        """A call that is cancelled at once."""
        call = self._channel.unary_unary(wire.path(method)).future(
            data, timeout=self._timeout_s, metadata=self._metadata
        )
        call.cancel()

    def stream(self, messages: Sequence[bytes]) -> Came:
        """All on one ModelStreamInfer, whose sending side is then closed; the value is the list of answers."""
        stub = self._channel.stream_stream(wire.path("ModelStreamInfer"))
        return self._collect(stub(iter(messages), timeout=self._timeout_s, metadata=self._metadata), _STREAMED)

    def watch(self, path: str, data: bytes, answer: Any) -> Came:
        """The first answer of a call that goes on; the rest is not waited for."""
        call = self._channel.unary_stream(path)(data, timeout=self._timeout_s, metadata=self._metadata)
        try:
            return _message(answer, next(call))
        except (grpc.RpcError, StopIteration) as error:
            return self._failed(error) if isinstance(error, grpc.RpcError) else Came("OK", "a stream without answers")
        finally:
            call.cancel()

    def converse(self, path: str, data: bytes, answer: Any) -> Came:
        """One message on a stream of any method, and the answers to it."""
        stub = self._channel.stream_stream(path)
        return self._collect(stub(iter([data]), timeout=self._timeout_s, metadata=self._metadata), answer)

    def _collect(self, call: Any, answer: Any) -> Came:
        found: list[Any] = []
        try:
            for body in call:
                found.append(answer.FromString(body))
                if len(found) > _MOST_ANSWERS:
                    call.cancel()
                    return Came("OK", f"more than {_MOST_ANSWERS} answers", found)
        except grpc.RpcError as error:
            came = self._failed(error)
            return Came(came.status, f"{came.text} (after {len(found)} answers)", found)
        except Exception as error:  # protobuf's, which differ by implementation
            return Came("OK", f"bytes that are no message: {error}", found)
        return Came("OK", f"{len(found)} answers: {' '.join(map(str, found))}", found)

    def _result(self, answer: Any, call: Any) -> Came:
        try:
            return _message(answer, call.result())
        except grpc.RpcError as error:
            return self._failed(error)

    def _failed(self, error: Any) -> Came:
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            return Came(NO_ANSWER, f"within {self._timeout_s:g} s")
        if error.code() == grpc.StatusCode.UNAVAILABLE and "connect" in (error.details() or ""):
            return Came(NO_ANSWER, error.details())
        return Came(error.code().name, error.details() or "")


_STREAMED = wire.message("ModelStreamInferResponse")


def _message(answer: Any, body: bytes) -> Came:
    try:
        found = answer.FromString(body)
    except Exception as error:  # protobuf's, which differ by implementation
        return Came("OK", f"bytes that are no message: {error}")
    return Came("OK", str(found)[:2000], found)
