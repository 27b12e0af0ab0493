"""The async client: the blocking one's methods, awaited. A cancelled task cancels its call on the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc
import grpc.aio

from fovea.client import methods
from fovea.client.caller import Caller, method_of
from fovea.client.methods import Call
from fovea.client.status_errors import error_of
from fovea.contract.errors import FoveaError

P = ParamSpec("P")
T = TypeVar("T")


def _awaited(make: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    async def method(client: AsyncClient, /, *args: P.args, **options: P.kwargs) -> T:
        return await client._send(make(*args, **options))

    return method_of(make, method)


class AsyncClient(Caller):
    """A channel to one server, made and used in one event loop. Every method raises a FoveaError."""

    _grpc = grpc.aio

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connection back."""
        await self._channel.close()

    infer = _awaited(methods.infer)
    server = _awaited(methods.server)
    metadata = _awaited(methods.metadata)
    models = _awaited(methods.models)
    statistics = _awaited(methods.statistics)
    load = _awaited(methods.load)
    unload = _awaited(methods.unload)
    ready = _awaited(methods.ready)
    check = _awaited(methods.check)

    async def healthy(self, service: str = "") -> bool:
        """Whether the server, or one model by its name, answers that it is serving; False where nobody answers."""
        try:
            return await self.check(service)
        except FoveaError:
            return False

    async def _send(self, call: Call[T]) -> T:
        attempts = self._attempts(call)
        while True:
            try:
                body = await self._stubs[call.path](call.body, timeout=attempts.left_s, metadata=self._metadata)
            except grpc.RpcError as error:
                pause_s = attempts.pause_after(error_of(error, self._address))
            else:
                return call.read(body)
            await asyncio.sleep(pause_s)
