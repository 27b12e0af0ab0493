"""The routes of the Open Inference Protocol's REST, each answered by the RPC of the same meaning."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fovea.serving.rest.answers import plain
from fovea.serving.rest.bodies import BodyReader
from fovea.serving.rest.bulk import Bulk
from fovea.serving.rest.calls import RestCall
from fovea.serving.rest.inference import Inference
from fovea.serving.rest.limits import RestLimits
from fovea.serving.rest.requests import change_request, index_request
from fovea.serving.rest.responses import HANDLERS, json_response
from fovea.serving.servicer import Servicer
from fovea.wire import message

Admit = Callable[[str, Mapping[str, str]], None]
"""From an RPC's name and a request's headers: raises a FoveaError where the caller may not."""
Handler = Callable[[Request], Awaitable[Response]]
Shape = Callable[[Any, Mapping[str, str]], Any]
"""From an answer's message, and the names in the path, to what is said in JSON."""

_CONTROL_THREADS = 8
_QUICK = ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady")
"""RPCs that are answered on the event loop: probes wait behind nothing."""
_CHANGES = ("RepositoryModelLoad", "RepositoryModelUnload")


class RestApp:
    """The ASGI application, `asgi`. `stray` is told of requests that are refused before they reach a model."""

    def __init__(self, servicer: Servicer, limits: RestLimits, admit: Admit, stray: Callable[[], None]) -> None:
        self._servicer, self._admit = servicer, admit
        self._bodies = BodyReader(limits)
        self._bulk = Bulk()
        self._control_pool = ThreadPoolExecutor(_CONTROL_THREADS, "rest-control")
        self._change_pool = ThreadPoolExecutor(1, "rest-change")
        """Loads and unloads come one after another: those that wait their turn hold no thread."""
        self.changes: set[RestCall] = set()
        """The calls that ask for them."""
        self.inference = Inference(servicer, self._bodies, self._bulk, limits, stray)
        self.asgi = Starlette(routes=self._routes(), exception_handlers=HANDLERS)

    def _routes(self) -> list[Route]:
        routes = [self._route(path + "/infer", "ModelInfer", self.inference.answer, "POST") for path in _MODEL_PATHS]
        routes += [self._get(path, rpc, shape) for path, rpc, shape in _FACTS]
        routes.append(self._route("/v2/repository/index", "RepositoryIndex", self._index, "POST"))
        for path, rpc in zip(_CHANGE_PATHS, _CHANGES, strict=True):
            routes.append(self._route(path, rpc, self._change(rpc), "POST"))
        return routes

    def _route(self, path: str, rpc: str, handler: Handler, method: str) -> Route:
        async def admitted(request: Request) -> Response:
            self._admit(rpc, request.headers)
            return await handler(request)

        return Route(path, admitted, methods=[method])

    def _get(self, path: str, rpc: str, shape: Shape) -> Route:
        async def answer(request: Request) -> Response:
            return await self._answered(request, rpc, message(f"{rpc}Request")(**request.path_params), shape)

        return self._route(path, rpc, answer, "GET")

    async def _index(self, request: Request) -> Response:
        async with self._bodies.body(request) as body:
            asked = await self._bulk.do(len(body), index_request, body)
        return await self._answered(request, "RepositoryIndex", asked, _only("models"))

    def _change(self, rpc: str) -> Handler:
        async def answer(request: Request) -> Response:
            async with self._bodies.body(request) as body:
                model = request.path_params["name"]
                asked = await self._bulk.do(len(body), change_request, f"{rpc}Request", model, body)
            return await self._answered(request, rpc, asked, _nothing)

        return answer

    async def _answered(self, request: Request, rpc: str, asked: Any, shape: Shape) -> Response:
        """The answer of any RPC but ModelInfer; 503 where it says that something is not ready."""
        if rpc not in self._servicer.control_rpcs:
            raise HTTPException(501, f"this server has no {rpc}")
        answered = await self._controlled(rpc, asked.SerializeToString())
        facts = shape(message(f"{rpc}Response").FromString(answered), request.path_params)
        return json_response(facts, 503 if "ready" in facts and not facts["ready"] else 200)

    async def _controlled(self, rpc: str, data: bytes) -> bytes:
        call = RestCall()
        if rpc in _QUICK:
            self._servicer.control(rpc, call, data)
        elif rpc in _CHANGES:
            self.changes.add(call)
            self._change_pool.submit(self._servicer.control, rpc, call, data)
        else:
            self._control_pool.submit(self._servicer.control, rpc, call, data)
        try:
            return await call.answer
        finally:
            self.changes.discard(call)


def _whole(answer: Any, _: Mapping[str, str]) -> Any:
    return plain(answer)


def _nothing(_answer: Any, _: Mapping[str, str]) -> Any:
    return {}


def _only(field: str) -> Shape:
    return lambda answer, _: plain(answer)[field]


def _named(answer: Any, names: Mapping[str, str]) -> Any:
    return {"name": names["name"], **plain(answer)}


_MODEL_PATHS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
_CHANGE_PATHS = ("/v2/repository/models/{name}/load", "/v2/repository/models/{name}/unload")
_OF_A_MODEL: tuple[tuple[str, str, Shape], ...] = (
    ("", "ModelMetadata", _whole),
    ("/ready", "ModelReady", _named),
    ("/config", "ModelConfig", _only("config")),
    ("/stats", "ModelStatistics", _whole),
)
_FACTS: tuple[tuple[str, str, Shape], ...] = (
    ("/v2", "ServerMetadata", _whole),
    ("/v2/health/live", "ServerLive", _whole),
    ("/v2/health/ready", "ServerReady", _whole),
    ("/v2/models/stats", "ModelStatistics", _whole),
    *((path + end, rpc, shape) for path in _MODEL_PATHS for end, rpc, shape in _OF_A_MODEL),
)
"""Path, RPC, and what is said of its answer: all that is asked with GET."""
