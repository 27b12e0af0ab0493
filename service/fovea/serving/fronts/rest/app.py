"""The routes of the Open Inference Protocol's REST, each answered by the RPC of the same meaning."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fovea.serving.answer_pool import AnswerPool
from fovea.serving.changes import CHANGE_RPCS, Changes
from fovea.serving.fronts.rest.bodies import BodyReader
from fovea.serving.fronts.rest.bulk import Bulk
from fovea.serving.fronts.rest.calls import RestCall
from fovea.serving.fronts.rest.control_routes import CONTROL_ROUTES, MODEL_PATHS, ControlRoute
from fovea.serving.fronts.rest.inference import Inference
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.fronts.rest.responses import HANDLERS, json_response
from fovea.serving.servicer import MOST_CONTROL_CALLS, QUICK_RPCS, Servicer

Admit = Callable[[str, Mapping[str, str]], None]
"""From an RPC's name and a request's headers: raises a FoveaError where the caller may not."""
Handler = Callable[[Request], Awaitable[Response]]

_CONTROL_THREADS = 8


class RestApp:
    """The ASGI application, `asgi`. `stray` is told of requests that are refused before they reach a model."""

    def __init__(
        self, servicer: Servicer, changes: Changes, limits: RestLimits, admit: Admit, stray: Callable[[], None]
    ) -> None:
        self._servicer, self._changes, self._admit, self._limits = servicer, changes, admit, limits
        self._bodies = BodyReader(limits)
        self._bulk = Bulk()
        self._control_pool = AnswerPool("control", _CONTROL_THREADS, MOST_CONTROL_CALLS)
        self.inference = Inference(servicer, self._bodies, self._bulk, limits, stray)
        self.asgi = Starlette(routes=self._routes(), exception_handlers=HANDLERS)
        self.asgi.router.redirect_slashes = False  # to an address out of the caller's own Host header

    def _routes(self) -> list[Route]:
        infer = [self._route("POST", path + "/infer", "ModelInfer", self.inference.answer) for path in MODEL_PATHS]
        return [*infer, *map(self._control, CONTROL_ROUTES)]

    def _route(self, method: str, path: str, rpc: str, handler: Handler) -> Route:
        async def admitted(request: Request) -> Response:
            self._admit(rpc, request.headers)
            return await handler(request)

        return Route(path, admitted, methods=[method])

    def _control(self, route: ControlRoute) -> Route:
        async def answer(request: Request) -> Response:
            """503 where the answer says that something is not ready."""
            if route.rpc not in self._servicer.control_rpcs:
                raise HTTPException(501, f"this server has no {route.rpc}")
            asked = await self._asked(route, request)
            facts = route.answer(await self._controlled(request, route.rpc, asked), request.path_params)
            return json_response(facts, 503 if "ready" in facts and not facts["ready"] else 200)

        return self._route(route.method, route.path, route.rpc, answer)

    async def _asked(self, route: ControlRoute, request: Request) -> bytes:
        if route.method == "GET":
            return route.request(request.path_params, b"")
        async with self._bodies.body(request, route.bound(self._limits)) as body:
            return await self._bulk.do(len(body), route.request, request.path_params, body)

    async def _controlled(self, request: Request, rpc: str, data: bytes) -> bytes:
        call, accept = RestCall(request), partial(self._servicer.control, rpc)
        if rpc in QUICK_RPCS:
            accept(call, data)
        elif rpc in CHANGE_RPCS:
            self._changes.submit(accept, call, data)
        else:
            self._control_pool.submit(accept, call, data)
        try:
            return await call.answer
        finally:
            call.end()
