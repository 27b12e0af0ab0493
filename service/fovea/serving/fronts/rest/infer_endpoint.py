"""POST …/infer: a body becomes a request, and its answer a body."""

from __future__ import annotations

from functools import partial

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fovea.contract.errors import FoveaError, InvalidRequest
from fovea.serving.fronts.rest.answer_bodies import infer_answer
from fovea.serving.fronts.rest.answer_style import AnswerStyle
from fovea.serving.fronts.rest.bodies import BodyReader
from fovea.serving.fronts.rest.bulk import BULK_BYTES, Bulk
from fovea.serving.fronts.rest.encodings import is_worth_packing, packed, packing, unpacked
from fovea.serving.fronts.rest.limits import Bound, RestLimits
from fovea.serving.fronts.rest.picture_body import is_picture, picture_request
from fovea.serving.fronts.rest.request_bodies import infer_request
from fovea.serving.fronts.rest.responses import WatchedResponse
from fovea.serving.fronts.rest.rest_reply import InferReply
from fovea.serving.requests.answer import Answer
from fovea.serving.requests.infer_request import InferRequest
from fovea.serving.requests.inference import Inference

_JSON_LENGTH = "Inference-Header-Content-Length"
_ENCODING = "Content-Encoding"


class InferEndpoint:
    """The endpoint."""

    def __init__(self, inference: Inference, bodies: BodyReader, bulk: Bulk, limits: RestLimits) -> None:
        self._inference, self._bodies, self._bulk, self._limits = inference, bodies, bulk, limits
        self.open_replies: set[InferReply] = set()
        """Of requests that are in flight, or whose answers are on their way."""

    async def answer(self, request: Request) -> Response:
        """The response; raises what it refuses."""
        reply = InferReply(request)
        try:
            await self._begin(reply, request)
            answer = await reply.answer
            packer = packing(request.headers.get("accept-encoding", ""))
            size = sum(array.nbytes for array in answer.arrays)
            body, headers = await self._bulk.do(size, _written, answer, reply.style, packer)
        except BaseException:
            self._end(reply)
            raise
        return WatchedResponse(body, headers, partial(self._end, reply))

    async def _begin(self, reply: InferReply, request: Request) -> None:
        """Have the request answered."""
        try:
            async with self._bodies.body(request, self._bound(request.headers)) as body:
                size = BULK_BYTES + 1 if _ENCODING in request.headers else len(body)
                asked, reply.style = await self._bulk.do(size, self._asked, request, body)
        except (FoveaError, HTTPException):
            self._inference.stray()
            raise
        self.open_replies.add(reply)
        self._inference.submit(asked, reply)

    def _bound(self, headers: Headers) -> Bound:
        """Of the body: a plain one without binary data is all JSON."""
        if _JSON_LENGTH in headers or _ENCODING in headers or is_picture(headers.get("content-type", "")):
            return self._limits.body
        return self._limits.json

    def _end(self, reply: InferReply) -> None:
        reply.end()
        self.open_replies.discard(reply)

    def _asked(self, request: Request, packed_body: bytes) -> tuple[InferRequest, AnswerStyle]:
        """The request, and how its answer is to be sent."""
        headers, name, version = request.headers, request.path_params["name"], request.path_params.get("version", "")
        body = unpacked(packed_body, headers.get(_ENCODING, "").lower(), self._limits.body)
        if is_picture(headers.get("content-type", "")):
            return picture_request(name, version, body, request.query_params), AnswerStyle(self._limits, {})
        json_bytes = _json_bytes(headers.get(_JSON_LENGTH))
        if (len(body) if json_bytes is None else json_bytes) > self._limits.json.bytes:
            raise self._limits.json.exceeded()
        return infer_request(name, version, body, json_bytes, self._limits)


def _written(answer: Answer, style: AnswerStyle, packer: str) -> tuple[bytes, dict[str, str]]:
    """An answer as a body and headers."""
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
