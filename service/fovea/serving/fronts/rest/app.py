"""The routes of the Open Inference Protocol's REST, each answered by the RPC of the same meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fovea.serving.control.rpcs import MOST_CONTROL_CALLS, QUICK_RPCS, Control
from fovea.serving.fronts.answer_pool import AnswerPool
from fovea.serving.fronts.changes import CHANGE_RPCS, Changes
from fovea.serving.fronts.rest.bulk import Bulk
from fovea.serving.fronts.rest.control_routes import CONTROL_ROUTES, MODEL_PATHS, ControlRoute
from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.infer_endpoint import InferEndpoint
from fovea.serving.fronts.rest.json_values import json_data
from fovea.serving.fronts.rest.limits import Bound
from fovea.serving.fronts.rest.origins import Origins
from fovea.serving.fronts.rest.refusal import Refusal
from fovea.serving.fronts.rest.responses import JSON
from fovea.serving.fronts.rest.rest_reply import RestReply
from fovea.serving.fronts.rest.rest_server import RestSettings
from fovea.serving.fronts.rest.routes import Route, Routes
from fovea.serving.requests.error_text import as_fovea_error
from fovea.serving.requests.inference import Inference

Admit = Callable[[str, Mapping[str, str]], None]
"""From an RPC's name and a request's headers: raises a FoveaError where the caller may not."""

_CONTROL_THREADS = 8


class RestApp:
    """The routes of the HTTP service, and who answers each."""

    def __init__(
        self, inference: Inference, control: Control, changes: Changes, admit: Admit, settings: RestSettings
    ) -> None:
        self._control, self._changes, self._admit, self._limits = control, changes, admit, settings.limits
        self._bulk = Bulk()
        self._control_pool = AnswerPool("control", _CONTROL_THREADS, MOST_CONTROL_CALLS)
        origins = Origins(settings.status_codes, "https" if settings.tls else "http")
        infer = InferEndpoint(inference, self._bulk, settings.limits, origins)
        of_infer = [
            Route("POST", f"{path}/infer", "ModelInfer", infer.answer, infer.bound, inference.stray)
            for path in MODEL_PATHS
        ]
        self._routes = Routes([*of_infer, *map(self._route, CONTROL_ROUTES)])

    def begin(self, exchange: Exchange) -> None:
        """Say who answers a request whose head is here; what it raises is the answer."""
        head = exchange.head
        route, names = self._routes.find(head.method, head.path)
        self._admit(route.rpc, head.headers)
        exchange.take, exchange.names, exchange.stray = route.answer, names, route.stray
        exchange.bound = route.bound(head.headers)

    def _route(self, route: ControlRoute) -> Route:
        return Route(route.method, route.path, route.rpc, partial(self._answer, route), partial(self._bound, route))

    def _bound(self, route: ControlRoute, _headers: Mapping[str, str]) -> Bound | None:
        return None if route.method == "GET" else route.bound(self._limits)

    def _answer(self, route: ControlRoute, exchange: Exchange) -> None:
        if route.rpc not in self._control.rpcs:
            raise Refusal(501, f"this server has no {route.rpc}")
        self._bulk.do(exchange.held_bytes, self._ask, route, exchange)

    def _ask(self, route: ControlRoute, exchange: Exchange) -> None:
        try:
            asked = route.request(exchange.names, exchange.body)
            exchange.let_go()
            self._submit(route.rpc, RestReply(exchange, partial(_write, route, exchange)), asked)
        except Exception as error:
            exchange.refuse(error)

    def _submit(self, rpc: str, reply: RestReply, asked: Any) -> None:
        accept = partial(self._reply, rpc)
        if rpc in QUICK_RPCS:
            accept(reply, asked)
        elif rpc in CHANGE_RPCS:
            self._changes.submit(accept, reply, asked)
        else:
            self._control_pool.submit(accept, reply, asked)

    def _reply(self, rpc: str, reply: RestReply, asked: Any) -> None:
        try:
            reply.send(self._control.answer(rpc, asked, lambda: reply.gone))
        except Exception as error:
            reply.send(as_fovea_error(error))


def _write(route: ControlRoute, exchange: Exchange, answer: Any) -> None:
    """503 where the answer says that something is not ready."""
    facts = route.answer(answer, exchange.names)
    exchange.answer(503 if "ready" in facts and not facts["ready"] else 200, JSON, json_data(facts))
