"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import grpc

from fovea.client import methods
from fovea.client.caller import Caller, method_of
from fovea.client.methods import Call
from fovea.client.status_errors import error_of
from fovea.contract.errors import FoveaError

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(make: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    def method(client: Client, /, *args: P.args, **options: P.kwargs) -> T:
        return client._send(make(*args, **options))

    return method_of(make, method)


class Client(Caller):
    """A channel to one server, for any number of threads. Every method blocks, and raises a FoveaError."""

    _grpc = grpc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._channel.close()

    infer = _blocking(methods.infer)
    server = _blocking(methods.server)
    metadata = _blocking(methods.metadata)
    models = _blocking(methods.models)
    statistics = _blocking(methods.statistics)
    load = _blocking(methods.load)
    unload = _blocking(methods.unload)
    ready = _blocking(methods.ready)
    check = _blocking(methods.check)

    def healthy(self, service: str = "") -> bool:
        """Whether the server, or one model by its name, answers that it is serving; False where nobody answers."""
        try:
            return self.check(service)
        except FoveaError:
            return False

    def _send(self, call: Call[T]) -> T:
        attempts = self._attempts(call)
        while True:
            try:
                body = self._stubs[call.path](call.body, timeout=attempts.left_s, metadata=self._metadata)
            except grpc.RpcError as error:
                pause_s = attempts.pause_after(error_of(error, self._address))
            else:
                return call.read(body)
            time.sleep(pause_s)
