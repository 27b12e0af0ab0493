"""Callers of a running server that can be used alike, whatever front they come through."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any, Protocol

import grpc
import numpy as np
from numpy.typing import NDArray

from fovea import wire
from raw_client import RawClient
from rest_calls import HTTP_STATUS, rest
from servers import RunningServer, infer_request

_LONG_S = 60.0
_CODES = {status: code.name for code, status in HTTP_STATUS.items()} | {200: "OK"}
_POST = "POST /v2/models/{} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\r\n"


class Asked(Protocol):
    """A request that was sent. Nothing of its answer is read before that is asked for."""

    def answer(self) -> tuple[str, Any]:
        """The name of its gRPC status with the output's values, or with the error's text."""

    def leave(self) -> None:
        """Wait no longer."""


class Caller(Protocol):
    """Calls one server."""

    def ask(self, model: str, x: NDArray[np.float32], **parameters: int) -> Asked:
        """Send a request, and do not wait."""

    def says(self, what: str) -> bool:
        """Whether the server says that it is `live` or `ready`."""


class GrpcAsked:
    def __init__(self, call: Any) -> None:
        self._call = call

    def answer(self) -> tuple[str, Any]:
        try:
            answer = wire.message("ModelInferResponse").FromString(next(self._call))
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return "OK", np.frombuffer(answer.raw_output_contents[0], np.float32)

    def leave(self) -> None:
        self._call.cancel()


class GrpcCaller:
    """A streamed answer is read when it is asked for: so is this one, and until then no more than a window of it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def ask(self, model: str, x: NDArray[np.float32], **parameters: int) -> Asked:
        request = wire.message("ModelInferRequest").FromString(infer_request(model, x))
        for name, value in parameters.items():
            request.parameters[name].int64_param = value
        infer = self._channel.unary_stream(wire.path("ModelInfer"))
        return GrpcAsked(infer(request.SerializeToString(), timeout=_LONG_S))

    def says(self, what: str) -> bool:
        return bool(getattr(RawClient(self._channel)(f"Server{what.title()}"), what))


class HttpAsked:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def answer(self) -> tuple[str, Any]:
        with self._connection, HTTPResponse(self._connection) as response:
            response.begin()
            body = response.read()
            code = _CODES[response.status]
            if code != "OK":
                return code, json.loads(body)["error"]
            return code, np.frombuffer(body[int(response.headers["inference-header-content-length"]) :], np.float32)

    def leave(self) -> None:
        self._connection.close()


class HttpCaller:
    def __init__(self, server: RunningServer) -> None:
        self._server = server

    def ask(self, model: str, x: NDArray[np.float32], **parameters: int) -> Asked:
        tensor = {"name": "x", "shape": x.shape, "datatype": "FP32", "data": x.ravel().tolist()}
        body = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True, **parameters}}).encode()
        connection = socket.create_connection(self._server.http_address, timeout=_LONG_S)
        connection.sendall(_POST.format(f"{model}/infer", len(body)).encode() + body)
        return HttpAsked(connection)

    def says(self, what: str) -> bool:
        return bool(rest(self._server, f"/v2/health/{what}")[1][what])


@contextmanager
def _over_grpc(server: RunningServer) -> Iterator[Caller]:
    with grpc.insecure_channel(server.grpc, options=[("grpc.max_receive_message_length", 64 << 20)]) as channel:
        yield GrpcCaller(channel)


@contextmanager
def _over_http(server: RunningServer) -> Iterator[Caller]:
    yield HttpCaller(server)


FRONTS: Mapping[str, tuple[str, Callable[[RunningServer], Any]]] = {
    "gRPC": ("--fast-lane", _over_grpc),
    "gRPC off the fast lane": ("--no-fast-lane", _over_grpc),
    "HTTP": ("--fast-lane", _over_http),
}
"""Flag of the server, and who calls it."""
