"""A gRPC server with all services registered: ours on one of two lanes, health and reflection beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import grpc

from fovea import wire
from fovea.contract.errors import Misconfigured
from fovea.runtime.memory import resident_bytes, return_freed_memory
from fovea.serving.addresses import address_of
from fovea.serving.control.rpcs import MOST_CONTROL_CALLS, QUICK_RPCS, Control
from fovea.serving.fronts.answer_pool import AnswerPool
from fovea.serving.fronts.changes import CHANGE_RPCS, Changes
from fovea.serving.fronts.grpc import fast_lane, pooled_lane
from fovea.serving.fronts.grpc.call_reply import CallReply
from fovea.serving.fronts.grpc.control_call import answer_control
from fovea.serving.fronts.grpc.control_messages import answer_bytes
from fovea.serving.fronts.grpc.fast_call import Accept
from fovea.serving.fronts.grpc.gate import Gate
from fovea.serving.fronts.grpc.handler_pool import HEALTH_CHECK, HEALTH_WATCH, INFER, Bounds, handler_pools, path_of
from fovea.serving.fronts.grpc.health_service import SERVICE as HEALTH
from fovea.serving.fronts.grpc.health_service import Health
from fovea.serving.fronts.grpc.model_infer import ModelInfer
from fovea.serving.fronts.grpc.pooled_stream import stream_handler
from fovea.serving.fronts.grpc.reads import Memory, Read, ReadLimits, ReadWatch
from fovea.serving.fronts.grpc.reflection import add_reflection
from fovea.serving.fronts.grpc.status import STATUS, status_table
from fovea.serving.fronts.grpc.stream import StreamLimits
from fovea.serving.fronts.grpc.streams import Streams
from fovea.serving.fronts.grpc.transport import Transport
from fovea.serving.fronts.unix_sockets import let_in
from fovea.serving.requests.inference import Inference
from fovea.serving.security.tls import Tls, TlsMaterial
from fovea.serving.security.token import Tokens

_STREAM = "ModelStreamInfer"
Answer = Callable[[Any, bytes], None]
"""From a reply and a request's bytes."""
_MEMORY = Memory(resident_bytes, return_freed_memory)
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
    """Most ModelInfer calls that wait for a thread, where they need one."""
    reads: ReadLimits
    status_codes: str = "triton"
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

    def __init__(
        self,
        settings: GrpcSettings,
        inference: Inference,
        control: Control,
        changes: Changes,
        on_fault: Callable[[], None],
    ) -> None:
        self._control, self._changes, self._on_fault = control, changes, on_fault
        self._keeps_metadata = inference.wants_origins
        table = status_table(settings.status_codes)
        self._infer = ModelInfer(inference, settings.transport.max_message_bytes, table)
        self.slow_reason = fast_lane.obstacle() if settings.fast_lane else "it is switched off"
        """Why calls go through ordinary handlers; None on the fast lane."""
        self._control_pool = AnswerPool("control", settings.handler_threads, MOST_CONTROL_CALLS)
        self._gate = None if settings.tokens is None else Gate(settings.tokens)
        self._pools = handler_pools(control.rpcs, settings.handler_threads, settings.max_queue)
        gates = [*([self._gate] if self._gate else []), Bounds(self._pools)]
        others = ThreadPoolExecutor(settings.handler_threads, "grpc-handler")
        self._server = grpc.server(others, interceptors=gates, options=settings.transport.options())
        self.health = Health()
        self._streams = Streams(
            self._infer, StreamLimits(settings.max_infer_streams, bytes=settings.transport.max_message_bytes)
        )
        self._lane: fast_lane.Lane | pooled_lane.PooledLane = pooled_lane.PooledLane()
        self._reads = ReadWatch(self._register(self._lane), settings.reads, _MEMORY)
        self.port = self._listen(settings)

    def _register(self, lane: pooled_lane.PooledLane) -> list[Callable[[], Iterable[Read]]]:
        """Register every service with ordinary handlers; where the messages are that these wait for."""
        ours, pools = self._accepts(on_loop=False), self._pools
        unary = {rpc: lane.handler(accept, pools[rpc]) for rpc, accept in ours.items()}
        health = {
            HEALTH_CHECK: lane.handler(self.health.check, pools[HEALTH_CHECK]),
            HEALTH_WATCH: lane.watch_handler(self.health.watch, pools[HEALTH_WATCH]),
        }
        self._server.add_registered_method_handlers(wire.SERVICE, {**unary, _STREAM: stream_handler(self._streams)})
        self._server.add_registered_method_handlers(HEALTH, health)
        reflection = add_reflection((wire.SERVICE, HEALTH), self._server)
        return [lambda: self._lane.unread(), reflection.open, *(pool.reads.open for pool in {*pools.values()})]

    def _accepts(self, *, on_loop: bool) -> dict[str, Accept]:
        """Who takes the calls of each of our RPCs that are answered once; on gRPC's loop nothing that takes time is."""
        control = {rpc: self._control_accept(rpc, on_loop) for rpc in self._control.rpcs}
        return {**control, INFER: self._infer}

    def _control_accept(self, rpc: str, on_loop: bool) -> Accept:
        """Changes have a thread of their own."""
        answer: Answer = partial(answer_control, self._control, rpc)
        if rpc in CHANGE_RPCS:
            answer = partial(self._changes.submit, answer)
        elif on_loop and rpc not in QUICK_RPCS:
            answer = partial(self._control_pool.submit, answer)
        return lambda call, data: answer(CallReply(call, partial(answer_bytes, rpc), STATUS), data)

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
            accepts = self._accepts(on_loop=True)
            doors = fast_lane.Doors(
                accepts={path_of(rpc): accept for rpc, accept in {**accepts, HEALTH_CHECK: self.health.check}.items()},
                watches={path_of(HEALTH_WATCH): self.health.watch},
                streams={path_of(_STREAM): self._streams},
                gate=self._gate.refusal if self._gate else None,
                keeps_metadata=self._keeps_metadata,
                on_fault=self._on_fault,
            )
            self._lane = fast_lane.start(self._server, doors)
        else:
            self._server.start()
        self._reads.start()

    def unanswered(self) -> Sequence[OpenCall]:
        """The calls whose request has been taken in and whose answer has not been sent, but loads and unloads."""
        changing: list[object] = [reply.call for reply in self._changes.calls if isinstance(reply, CallReply)]
        unary = [call for call in self._lane.unanswered() if call not in changing]
        return [*unary, *self._streams.unanswered()]

    def drain_streams(self) -> None:
        """End every stream once what it has in flight is answered."""
        self._streams.drain()

    def stop(self, grace_s: float) -> bool:
        """Refuse new calls, give those in flight `grace_s`, and return when all have ended; False where some do not."""
        self._reads.stop()
        return bool(self._server.stop(grace_s).wait(grace_s + _LAST_WORD_S))


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
