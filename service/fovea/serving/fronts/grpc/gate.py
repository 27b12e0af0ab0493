"""The token at gRPC's door: on the fast lane before a message is asked for, elsewhere as an interceptor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from fovea import wire
from fovea.contract.errors import Unauthenticated
from fovea.serving.fronts.grpc.status import status_of
from fovea.serving.security.token import HEADER, Tokens

Refusal = tuple[grpc.StatusCode, str]
_HEALTH = "/grpc.health.v1.Health/"
_OURS = wire.path("")
_REFUSING = ThreadPoolExecutor(1, "grpc refusing")
"""Not gRPC's own pool, whose threads open streams may hold."""


class Gate(grpc.ServerInterceptor):  # type: ignore[misc]
    """Lets calls through that bring a token, and those of probes."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def refusal(self, path: str, metadata: Iterable[tuple[str, Any]]) -> Refusal | None:
        """Why a call is not let in; None where it is."""
        if path.startswith(_HEALTH):
            return None
        authorization = next((value for key, value in metadata if key == HEADER), None)
        try:
            self._tokens.check(path.removeprefix(_OURS), authorization)
        except Unauthenticated as error:
            return status_of(error)
        return None

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """The call's own handler, or one that reads nothing and refuses."""
        refusal = self.refusal(details.method, details.invocation_metadata)
        return continuation(details) if refusal is None else refusing(refusal)


def refusing(refusal: Refusal) -> grpc.RpcMethodHandler:
    """A handler that reads nothing and refuses."""

    def refuse(_messages: Any, context: grpc.ServicerContext) -> Any:
        context.abort(*refusal)

    refuse.experimental_thread_pool = _REFUSING  # type: ignore[attr-defined]
    return grpc.stream_stream_rpc_method_handler(refuse)
