"""Threads for gRPC's ordinary handlers, and a bound on the calls that wait for one, kept at the door."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc

from fovea import wire
from fovea.serving.control.rpcs import MOST_CONTROL_CALLS, QUICK_RPCS
from fovea.serving.fronts.bounded_pool import BoundedPool
from fovea.serving.fronts.changes import CHANGE_RPCS, MOST_CHANGES
from fovea.serving.fronts.grpc.context_reads import ContextReads
from fovea.serving.fronts.grpc.gate import refusing
from fovea.serving.fronts.grpc.health_service import SERVICE as HEALTH
from fovea.serving.fronts.grpc.status import status_of

INFER = "ModelInfer"
HEALTH_CHECK, HEALTH_WATCH = "Check", "Watch"
_PROBE_THREADS = 64
_MOST_PROBES = 4096
_MOST_WATCHERS = 64


class HandlerPool(BoundedPool):
    """gRPC hands it every call, and bounds nothing itself."""

    def __init__(self, what: str, threads: int, most_calls: int, most_reads: int | None = None) -> None:
        super().__init__(what, threads, most_calls)
        self.reads = ContextReads(most_reads)
        """The calls whose message a thread waits for; see there for `most_reads`."""


class Bounds(grpc.ServerInterceptor):  # type: ignore[misc]
    """Turns calls away whose pool, by their RPC, has too many."""

    def __init__(self, pools: Mapping[str, HandlerPool]) -> None:
        self._pools = {path_of(rpc): pool for rpc, pool in pools.items()}

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """The call's own handler, or one that reads nothing and refuses."""
        pool = self._pools.get(details.method)
        refusal = pool.refusal() if pool else None
        return continuation(details) if refusal is None else refusing(status_of(refusal))


def path_of(rpc: str) -> str:
    """The path of an RPC of ours or of the health service."""
    return f"/{HEALTH}/{rpc}" if rpc in (HEALTH_CHECK, HEALTH_WATCH) else wire.path(rpc)


def handler_pools(control_rpcs: Iterable[str], threads: int, max_queue: int) -> dict[str, HandlerPool]:
    """The pool of each RPC: none waits for the threads of another kind."""
    probes = HandlerPool("probe", _PROBE_THREADS, _MOST_PROBES, _PROBE_THREADS - 1)
    control = HandlerPool("control", threads, MOST_CONTROL_CALLS, max(1, threads - 1))
    changes = HandlerPool("load and unload", threads, MOST_CHANGES)
    return {
        **{rpc: changes if rpc in CHANGE_RPCS else control for rpc in control_rpcs},
        **dict.fromkeys((*QUICK_RPCS, HEALTH_CHECK), probes),
        INFER: HandlerPool(INFER, threads, threads + max_queue),
        HEALTH_WATCH: HandlerPool("health watch", _MOST_WATCHERS, _MOST_WATCHERS),
    }
