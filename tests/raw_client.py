"""A client that sends any message, well-formed or not."""

from __future__ import annotations

from typing import Any

import grpc

from fovea import wire


class RawClient:
    """The service's RPCs with any message, well-formed or not."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def __call__(self, method: str, timeout: float | None = 20, **fields: Any) -> Any:
        return self.send(method, wire.message(f"{method}Request")(**fields).SerializeToString(), timeout)

    def send(self, method: str, data: bytes, timeout: float | None = 20) -> Any:
        answer = self.start(method, data, timeout).result()
        return wire.message(f"{method}Response").FromString(answer)

    def start(self, method: str, data: bytes, timeout: float | None = 20) -> Any:
        return self._channel.unary_unary(wire.path(method)).future(data, timeout=timeout)
