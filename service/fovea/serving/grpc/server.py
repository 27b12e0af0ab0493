"""A gRPC server with all services registered: ours on one of two lanes, health and reflection beside it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import grpc
from grpc_health.v1 import health_pb2_grpc

from fovea import wire
from fovea.contract.errors import Misconfigured
from fovea.serving.addresses import address_of
from fovea.serving.answer_pool import AnswerPool
from fovea.serving.changes import CHANGE_RPCS, Changes
from fovea.serving.grpc import fast_lane, pooled_lane
from fovea.serving.grpc.gate import Gate
from fovea.serving.grpc.handler_pool import INFER, Bounds, handler_pools
from fovea.serving.grpc.health import Health
from fovea.serving.grpc.reflection import add_reflection
from fovea.serving.grpc.stream import StreamLimits
from fovea.serving.grpc.streams import Streams
from fovea.serving.grpc.transport import Transport
from fovea.serving.security.tls import Tls, TlsMaterial
from fovea.serving.security.token import Tokens
from fovea.serving.servicer import MOST_CONTROL_CALLS, QUICK_RPCS, Servicer
from fovea.serving.unix_sockets import let_in

_HEALTH_SERVICE = "grpc.health.v1.Health"
_STREAM = "ModelStreamInfer"
_LAST_WORD_S = 5.0


@dataclass(frozen=True)
class GrpcSettings:
    """Where and how to listen."""

    host: str
    port: int
    transport: Transport
    handler_threads: int
    fast_lane: bool
    max_infer_streams: int
    max_queue: int
    """Of ModelInfer calls that wait for a thread, where they need one."""
    tls: Tls | None = None
    tokens: Tokens | None = None
    unix_socket: Path | None = None
    """Where to listen too, beside the port."""


class OpenCall(Protocol):
    """A call that may still need time."""

    @property
    def over(self) -> bool:
        """True once its answer has been sent, or its caller is gone."""


class GrpcServer:
    """Listens from `start` on; `port` is the one it got. Misconfigured where the port cannot be had."""

    def __init__(self, settings: GrpcSettings, servicer: Servicer, changes: Changes) -> None:
        self._servicer, self._changes = servicer, changes
        self.slow_reason = fast_lane.obstacle() if settings.fast_lane else "it is switched off"
        """Why calls go through ordinary handlers; None on the fast lane."""
        pool = ThreadPoolExecutor(settings.handler_threads, "grpc-handler")
        self._control_pool = AnswerPool("control", settings.handler_threads, MOST_CONTROL_CALLS)
        """Not gRPC's own pool, whose threads health checks that send nothing and open streams may hold."""
        self._gate = None if settings.tokens is None else Gate(settings.tokens)
        self._pools = handler_pools(servicer.control_rpcs, settings.handler_threads, settings.max_queue)
        gates = [*([self._gate] if self._gate else []), Bounds(self._pools)]
        self._server = grpc.server(pool, interceptors=gates, options=settings.transport.options())
        self.health = Health()
        self._streams = Streams(
            servicer.infer, StreamLimits(settings.max_infer_streams, bytes=settings.transport.max_message_bytes)
        )
        self._lane: fast_lane.Lane | pooled_lane.PooledLane = self._register()
        self.port = self._listen(settings)

    def _register(self) -> pooled_lane.PooledLane:
        lane = pooled_lane.PooledLane()
        self._server.add_registered_method_handlers(wire.SERVICE, self._handlers(lane))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        add_reflection((wire.SERVICE, _HEALTH_SERVICE), self._server)
        for name in ("", wire.SERVICE):
            self.health.tell(name, False)
        return lane

    def _handlers(self, lane: pooled_lane.PooledLane) -> dict[str, grpc.RpcMethodHandler]:
        accepts = {**self._control(), INFER: self._servicer.infer}
        handlers = {rpc: lane.handler(accept, self._pools.get(rpc)) for rpc, accept in accepts.items()}
        unary = {rpc: grpc.unary_unary_rpc_method_handler(handler) for rpc, handler in handlers.items()}
        return {**unary, _STREAM: self._streams.handler()}

    def _control(self) -> dict[str, fast_lane.Accept]:
        accepts: dict[str, fast_lane.Accept] = {
            rpc: partial(self._servicer.control, rpc) for rpc in self._servicer.control_rpcs
        }
        return accepts | {rpc: partial(self._changes.submit, accepts[rpc]) for rpc in CHANGE_RPCS}

    def _listen(self, settings: GrpcSettings) -> int:
        why = f"the port is taken, or {settings.host} is no address of this machine"
        port = self._bind(address_of(settings.host, settings.port), settings.tls, why)
        if settings.unix_socket is not None:
            self._bind(f"unix:{settings.unix_socket}", settings.tls, "no socket can be made there")
            let_in(settings.unix_socket)
        return port

    def _bind(self, address: str, tls: Tls | None, why_not: str) -> int:
        try:
            if tls is not None:
                return int(self._server.add_secure_port(address, _credentials(tls)))
            return int(self._server.add_insecure_port(address))
        except RuntimeError as error:
            raise Misconfigured(f"cannot listen on {address} for gRPC: {why_not}") from error

    def start(self) -> None:
        """Answer calls."""
        if self.slow_reason is None:
            control = {wire.path(rpc): self._in_pool(rpc, accept) for rpc, accept in self._control().items()}
            accepts = {**control, wire.path(INFER): self._servicer.infer}
            self._lane = fast_lane.start(self._server, accepts, self._gate.refusal if self._gate else None)
        else:
            self._server.start()

    def _in_pool(self, rpc: str, accept: fast_lane.Accept) -> fast_lane.Accept:
        """The same, off the serving loop where it takes time; changes have a thread of their own."""
        if rpc in (*QUICK_RPCS, *CHANGE_RPCS):
            return accept
        return partial(self._control_pool.submit, accept)

    def unanswered(self) -> Sequence[OpenCall]:
        """The calls whose request has been taken in and whose answer has not been sent, but loads and unloads."""
        unary = [call for call in self._lane.unanswered() if call not in self._changes]
        return [*unary, *self._streams.unanswered()]

    def drain_streams(self) -> None:
        """End every stream once what it has in flight is answered."""
        self._streams.drain()

    def stop(self, grace_s: float) -> None:
        """Refuse new calls, give those in flight `grace_s`, and return when all have ended."""
        self._server.stop(grace_s).wait(grace_s + _LAST_WORD_S)


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    """gRPC asks for every connection whether something has changed."""
    begun = tls.now()
    told = [begun]

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        now = tls.now()
        if now is told[0]:
            return None
        told[0] = now
        return _configuration(now)

    return grpc.dynamic_ssl_server_credentials(_configuration(begun), renewed, begun.client_ca is not None)


def _configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(material.key, material.cert)], material.client_ca)
