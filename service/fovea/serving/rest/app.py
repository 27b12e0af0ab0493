"""The routes of the Open Inference Protocol's REST, each answered by the RPC of the same meaning."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from fovea.contract.errors import Cancelled, FoveaError, InvalidRequest
from fovea.serving.rest.answers import infer_answer, json_data, plain
from fovea.serving.rest.bodies import BodyReader, is_worth_packing, packed, packing, unpacked
from fovea.serving.rest.calls import Refused, RestCall
from fovea.serving.rest.requests import AnswerStyle, change_request, index_request, infer_request
from fovea.serving.servicer import Servicer
from fovea.serving.status import HTTP_STATUS, status_of
from fovea.wire import message

T = TypeVar("T")
Admit = Callable[[str, Mapping[str, str]], None]
"""From an RPC's name and a request's headers: raises a FoveaError where the caller may not."""
Shape = Callable[[Any, Mapping[str, str]], Any]
"""From an answer's message, and the names in the path, to what is said in JSON."""

JSON_MAX_BYTES = 16 * 1024 * 1024
"""Parsing holds every other thread up, 20 ms a megabyte; larger tensors come as binary data."""
_BULK_BYTES = 64 * 1024
"""What is larger is parsed, packed and unpacked off the event loop."""
_JSON_LENGTH = "Inference-Header-Content-Length"
_ENCODING = "Content-Encoding"
_QUICK = frozenset({"ServerLive", "ServerReady", "ServerMetadata", "ModelReady"})
"""RPCs that are answered on the event loop: probes must not wait behind the loading of a model."""
_CHANGES = ("RepositoryModelLoad", "RepositoryModelUnload")


@dataclass(frozen=True)
class RestLimits:
    """What may be held in memory."""

    body_bytes: int
    all_bodies_bytes: int


class RestApp:
    """The ASGI application. `stray` is told of requests that are refused before they reach a model."""

    def __init__(self, servicer: Servicer, limits: RestLimits, admit: Admit, stray: Callable[[], None]) -> None:
        self._servicer, self._admit, self._stray = servicer, admit, stray
        self._bodies = BodyReader(limits.body_bytes, limits.all_bodies_bytes)
        self._bulk_pool = ThreadPoolExecutor(2, "rest-bulk")
        self._control_pool = ThreadPoolExecutor(8, "rest-control")
        self._change_pool = ThreadPoolExecutor(1, "rest-change")
        """Loads and unloads come one after another: those that wait their turn hold no thread."""
        self.changes: set[RestCall] = set()
        """The calls that ask for them."""
        self.open_calls: set[RestCall] = set()
        """Requests that the servicer has, or whose answers are on their way."""
        handlers: dict[Any, Any] = {
            Refused: _refused,
            HTTPException: _not_http,
            FoveaError: _failed,
            Exception: _failed,
        }
        self.asgi = Starlette(routes=self._routes(), exception_handlers=handlers)

    def _routes(self) -> list[Route]:
        model, version = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
        routes = [Route(f"{path}/infer", self._infer, methods=["POST"]) for path in (model, version)]
        routes += [self._get("/v2/models/stats", "ModelStatistics", _whole)]
        for path in (model, version):
            routes += [self._get(f"{path}{end}", rpc, shape) for end, rpc, shape in _MODEL_ROUTES]
        routes += [self._get(path, rpc, shape) for path, rpc, shape in _SERVER_ROUTES]
        routes.append(Route("/v2/repository/index", self._index, methods=["POST"]))
        for change in ("load", "unload"):
            path = "/v2/repository/models/{name}/" + change
            routes.append(Route(path, self._change(f"RepositoryModel{change.title()}"), methods=["POST"]))
        return routes

    def _get(self, path: str, rpc: str, shape: Shape) -> Route:
        async def answer(request: Request) -> Response:
            return await self._answered(request, rpc, message(f"{rpc}Request")(**request.path_params), shape)

        return Route(path, answer, methods=["GET"])

    async def _index(self, request: Request) -> Response:
        return await self._with_body(request, "RepositoryIndex", index_request, _only("models"))

    def _change(self, rpc: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            name = request.path_params["name"]
            make = lambda body: change_request(f"{rpc}Request", name, body)  # noqa: E731
            return await self._with_body(request, rpc, make, _nothing)

        return answer

    async def _with_body(self, request: Request, rpc: str, make: Callable[[bytes], Any], shape: Shape) -> Response:
        async with self._bodies.body(request) as body:
            return await self._answered(request, rpc, await self._off_loop(len(body), make, body), shape)

    async def _answered(self, request: Request, rpc: str, asked: Any, shape: Shape) -> Response:
        """The answer of any RPC but ModelInfer."""
        self._admit(rpc, request.headers)
        if rpc not in self._servicer.control_rpcs:
            raise HTTPException(501, f"this server has no {rpc}")
        answered = await self._controlled(rpc, asked.SerializeToString())
        answer = shape(message(f"{rpc}Response").FromString(answered), request.path_params)
        well = answer.get("live", answer.get("ready", True)) if isinstance(answer, dict) else True
        return _json(answer, 200 if well else 503)

    async def _controlled(self, rpc: str, data: bytes) -> bytes:
        call = RestCall()
        if rpc in _QUICK:
            self._servicer.control(rpc, call, data)
        elif rpc not in _CHANGES:
            self._control_pool.submit(self._servicer.control, rpc, call, data)
        else:
            self.changes.add(call)
            self._change_pool.submit(self._servicer.control, rpc, call, data)
        try:
            return await call.answer
        finally:
            self.changes.discard(call)

    async def _infer(self, request: Request) -> Response:
        self._admit("ModelInfer", request.headers)
        call = RestCall()
        async with self._bodies.body(request) as body:
            size = _BULK_BYTES + 1 if _ENCODING in request.headers else len(body)
            data, style = await self._off_loop(size, self._parsed, request, body)
            self.open_calls.add(call)
            self._servicer.infer(call, data)
        try:
            answer = await _answer_or_end(call, request)
            packer = packing(request.headers.get("accept-encoding", ""))
            body_out, headers = await self._off_loop(len(answer), _told, answer, style, packer)
        except BaseException:
            self._end(call)
            raise
        return _Answer(body_out, headers, partial(self._end, call))

    def _end(self, call: RestCall) -> None:
        call.over = True
        self.open_calls.discard(call)

    def _parsed(self, request: Request, body: bytes) -> tuple[bytes, AnswerStyle]:
        headers, names = request.headers, request.path_params
        try:
            plain_body = unpacked(body, headers.get(_ENCODING, "").lower(), self._bodies.most_bytes)
            json_bytes = _json_bytes(headers.get(_JSON_LENGTH))
            if (len(plain_body) if json_bytes is None else json_bytes) > JSON_MAX_BYTES:
                raise HTTPException(413, f"JSON is larger than {JSON_MAX_BYTES} bytes; send tensors as binary data")
            asked, style = infer_request(names["name"], names.get("version", ""), plain_body, json_bytes)
            return asked.SerializeToString(), style
        except (FoveaError, HTTPException):
            self._stray()
            raise

    async def _off_loop(self, size: int, work: Callable[..., T], *arguments: Any) -> T:
        """The result of some work: done here where it is small, else on a thread."""
        if size <= _BULK_BYTES:
            return work(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._bulk_pool, work, *arguments)


async def _answer_or_end(call: RestCall, request: Request) -> bytes:
    """The serialized answer; where the caller may leave before, that is looked out for."""
    if not call.watched:
        return await call.answer
    leaving: asyncio.Future[Any] = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({call.answer, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not call.answer.done():
            call.gone = True
            call.answer.cancel()
            raise Refused(*status_of(Cancelled("the caller is gone")))
        return call.answer.result()
    finally:
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json_bytes(told: str | None) -> int | None:
    if told is None:
        return None
    if not (told.isascii() and told.isdigit() and len(told) <= 10):
        raise InvalidRequest(f"{_JSON_LENGTH} must be a count of bytes, received '{told}'")
    return int(told)


def _told(answer: bytes, style: AnswerStyle, packer: str) -> tuple[bytes, dict[str, str]]:
    """An answer to ModelInfer as a body and headers."""
    body = infer_answer(answer, style)
    headers = {"Content-Type": "application/json"}
    if body.json_bytes is not None:
        headers = {"Content-Type": "application/octet-stream", _JSON_LENGTH: str(body.json_bytes)}
    if packer and is_worth_packing(body.data):
        return packed(body.data, packer), {**headers, _ENCODING: packer}
    return body.data, headers


class _Answer(Response):
    """A response that tells when the caller has read it, but for what fits into a buffer."""

    def __init__(self, body: bytes, headers: dict[str, str], done: Callable[[], None]) -> None:
        super().__init__(body, headers=headers)
        self._done = done

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it; the last, empty, part waits for the others to be read."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._done()


def _json(value: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json_data(value), status, headers, "application/json")


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _json({"error": error.text}, HTTP_STATUS[error.code])


def _failed(_: Request, error: Exception) -> Response:
    code, text = status_of(error)
    return _json({"error": text}, HTTP_STATUS[code])


def _not_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    unknown = error.status_code == 404
    return _json(
        {"error": f"no such path: {request.url.path}" if unknown else error.detail}, error.status_code, error.headers
    )


def _whole(answer: Any, _: Mapping[str, str]) -> Any:
    return plain(answer)


def _nothing(_answer: Any, _: Mapping[str, str]) -> Any:
    return {}


def _only(field: str) -> Shape:
    return lambda answer, _: plain(answer)[field]


def _named(answer: Any, names: Mapping[str, str]) -> Any:
    return {"name": names["name"], **plain(answer)}


_MODEL_ROUTES: tuple[tuple[str, str, Shape], ...] = (
    ("", "ModelMetadata", _whole),
    ("/ready", "ModelReady", _named),
    ("/config", "ModelConfig", _only("config")),
    ("/stats", "ModelStatistics", _whole),
)
_SERVER_ROUTES: tuple[tuple[str, str, Shape], ...] = (
    ("/v2", "ServerMetadata", _whole),
    ("/v2/health/live", "ServerLive", _whole),
    ("/v2/health/ready", "ServerReady", _whole),
)
