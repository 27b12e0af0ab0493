"""POST …/infer: body in, through the servicer's ModelInfer, body out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fovea.contract.errors import InvalidRequest, NotFound
from fovea.serving.fronts.rest.answer_style import AnswerStyle
from fovea.serving.fronts.rest.answers import infer_answer
from fovea.serving.fronts.rest.bodies import BodyReader
from fovea.serving.fronts.rest.bulk import BULK_BYTES, Bulk
from fovea.serving.fronts.rest.calls import RestCall
from fovea.serving.fronts.rest.encodings import is_worth_packing, packed, packing, unpacked
from fovea.serving.fronts.rest.limits import Bound, RestLimits
from fovea.serving.fronts.rest.picture_body import is_picture, picture_request
from fovea.serving.fronts.rest.requests import infer_request
from fovea.serving.fronts.rest.responses import WatchedResponse
from fovea.serving.messages.sending import Sending
from fovea.serving.servicer import Servicer

_JSON_LENGTH = "Inference-Header-Content-Length"
_ENCODING = "Content-Encoding"


class Inference:
    """The endpoint. `stray` is told of requests that are refused before they reach a model."""

    def __init__(
        self, servicer: Servicer, bodies: BodyReader, bulk: Bulk, limits: RestLimits, stray: Callable[[], None]
    ) -> None:
        self._servicer, self._bodies, self._bulk = servicer, bodies, bulk
        self._limits, self._stray = limits, stray
        self.open_calls: set[RestCall] = set()
        """Requests that the servicer has, or whose answers are on their way."""

    async def answer(self, request: Request) -> Response:
        """The response; raises what it refuses."""
        call = RestCall(request)
        try:
            style = await self._begin(call, request)
            answer = await call.answer
            packer = packing(request.headers.get("accept-encoding", ""))
            body, headers = await self._bulk.do(len(answer), self._told, answer, style, packer)
        except BaseException:
            self._end(call)
            raise
        return WatchedResponse(body, headers, partial(self._end, call))

    async def _begin(self, call: RestCall, request: Request) -> AnswerStyle:
        """Hand the request to the servicer; how its answer is to be sent."""
        try:
            async with self._bodies.body(request, self._bound(request.headers)) as body:
                size = BULK_BYTES + 1 if _ENCODING in request.headers else len(body)
                data, style = await self._bulk.do(size, self._parsed, request, body)
                self.open_calls.add(call)
                self._servicer.infer(call, data, Sending(style=style))
        except (InvalidRequest, NotFound, HTTPException):
            self._stray()
            raise
        return style

    def _bound(self, headers: Headers) -> Bound:
        """Of the body: a plain one without binary data is all JSON."""
        if _JSON_LENGTH in headers or _ENCODING in headers or is_picture(headers.get("content-type", "")):
            return self._limits.body
        return self._limits.json

    def _end(self, call: RestCall) -> None:
        call.end()
        self.open_calls.discard(call)

    def _parsed(self, request: Request, body: bytes) -> tuple[bytes, AnswerStyle]:
        """A serialized ModelInferRequest, and how its answer is to be sent."""
        asked, style = self._asked(request, self._unpacked(request, body))
        return asked.SerializeToString(), style

    def _unpacked(self, request: Request, body: bytes) -> bytes:
        return unpacked(body, request.headers.get(_ENCODING, "").lower(), self._limits.body)

    def _asked(self, request: Request, body: bytes) -> tuple[Any, AnswerStyle]:
        headers, name, version = request.headers, request.path_params["name"], request.path_params.get("version", "")
        if is_picture(headers.get("content-type", "")):
            card = self._servicer.card(name, version)
            return picture_request(card, version, body, request.query_params), AnswerStyle(self._limits, {})
        json_bytes = _json_bytes(headers.get(_JSON_LENGTH))
        if (len(body) if json_bytes is None else json_bytes) > self._limits.json.bytes:
            raise self._limits.json.exceeded()
        return infer_request(name, version, body, json_bytes, self._limits)

    def _told(self, answer: bytes, style: AnswerStyle, packer: str) -> tuple[bytes, dict[str, str]]:
        """An answer to ModelInfer as a body and headers."""
        body = infer_answer(answer, style)
        headers = {"Content-Type": "application/json"}
        if body.json_bytes is not None:
            headers = {"Content-Type": "application/octet-stream", _JSON_LENGTH: str(body.json_bytes)}
        if packer and is_worth_packing(body.data):
            return packed(body.data, packer), {**headers, _ENCODING: packer}
        return body.data, headers


def _json_bytes(told: str | None) -> int | None:
    if told is None:
        return None
    if not (told.isascii() and told.isdigit() and len(told) <= 10):
        raise InvalidRequest(f"{_JSON_LENGTH} must be a count of bytes, received '{told}'")
    return int(told)
