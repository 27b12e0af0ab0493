"""The routes of the Open Inference Protocol's REST, each answered by the RPC of the same meaning."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fovea.serving.answer_pool import AnswerPool
from fovea.serving.changes import CHANGE_RPCS, Changes
from fovea.serving.control.rpcs import MOST_CONTROL_CALLS, QUICK_RPCS, Control
from fovea.serving.fronts.rest.bodies import BodyReader
from fovea.serving.fronts.rest.bulk import Bulk
from fovea.serving.fronts.rest.control_routes import CONTROL_ROUTES, MODEL_PATHS, ControlRoute
from fovea.serving.fronts.rest.http_status import status_table
from fovea.serving.fronts.rest.infer_endpoint import InferEndpoint
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.fronts.rest.responses import handlers, json_response
from fovea.serving.fronts.rest.rest_reply import RestReply
from fovea.serving.requests.error_text import as_fovea_error
from fovea.serving.requests.inference import Inference

Admit = Callable[[str, Mapping[str, str]], None]
"""From an RPC's name and a request's headers: raises a FoveaError where the caller may not."""
Handler = Callable[[Request], Awaitable[Response]]

_CONTROL_THREADS = 8


class RestApp:
    """The ASGI application, `asgi`."""

    def __init__(
        self,
        inference: Inference,
        control: Control,
        changes: Changes,
        admit: Admit,
        *,
        limits: RestLimits,
        status_codes: str,
    ) -> None:
        self._control, self._changes, self._admit, self._limits = control, changes, admit, limits
        self._bodies = BodyReader(limits)
        self._bulk = Bulk()
        self._control_pool = AnswerPool("control", _CONTROL_THREADS, MOST_CONTROL_CALLS)
        self.inference = InferEndpoint(inference, self._bodies, self._bulk, limits)
        self.asgi = Starlette(routes=self._routes(), exception_handlers=handlers(status_table(status_codes)))
        self.asgi.router.redirect_slashes = False  # to an address out of the caller's own Host header

    def _routes(self) -> list[Route]:
        infer = [self._route("POST", path + "/infer", "ModelInfer", self.inference.answer) for path in MODEL_PATHS]
        return [*infer, *map(self._control_route, CONTROL_ROUTES)]

    def _route(self, method: str, path: str, rpc: str, handler: Handler) -> Route:
        async def admitted(request: Request) -> Response:
            self._admit(rpc, request.headers)
            return await handler(request)

        return Route(path, admitted, methods=[method])

    def _control_route(self, route: ControlRoute) -> Route:
        async def answer(request: Request) -> Response:
            """503 where the answer says that something is not ready."""
            if route.rpc not in self._control.rpcs:
                raise HTTPException(501, f"this server has no {route.rpc}")
            asked = await self._asked(route, request)
            facts = route.answer(await self._controlled(request, route.rpc, asked), request.path_params)
            return json_response(facts, 503 if "ready" in facts and not facts["ready"] else 200)

        return self._route(route.method, route.path, route.rpc, answer)

    async def _asked(self, route: ControlRoute, request: Request) -> Any:
        if route.method == "GET":
            return route.request(request.path_params, b"")
        async with self._bodies.body(request, route.bound(self._limits)) as body:
            return await self._bulk.do(len(body), route.request, request.path_params, body)

    async def _controlled(self, request: Request, rpc: str, asked: Any) -> Any:
        reply, accept = RestReply(request), partial(self._answer, rpc)
        if rpc in QUICK_RPCS:
            accept(reply, asked)
        elif rpc in CHANGE_RPCS:
            self._changes.submit(accept, reply, asked)
        else:
            self._control_pool.submit(accept, reply, asked)
        try:
            return await reply.answer
        finally:
            reply.end()

    def _answer(self, rpc: str, reply: RestReply, asked: Any) -> None:
        try:
            reply.send(self._control.answer(rpc, asked))
        except Exception as error:
            reply.send(as_fovea_error(error))
