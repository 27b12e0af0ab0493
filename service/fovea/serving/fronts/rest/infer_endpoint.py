"""POST …/infer: a body becomes a request, and its answer a body."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.parse import parse_qsl

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.answer_bodies import infer_answer
from fovea.serving.fronts.rest.answer_style import AnswerStyle
from fovea.serving.fronts.rest.bulk import BULK_BYTES, Bulk
from fovea.serving.fronts.rest.encodings import is_worth_packing, packed, packing, unpacked
from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.limits import Bound, RestLimits
from fovea.serving.fronts.rest.origins import Origins
from fovea.serving.fronts.rest.picture_body import is_picture, picture_request
from fovea.serving.fronts.rest.request_bodies import RequestBodies
from fovea.serving.fronts.rest.responses import JSON
from fovea.serving.fronts.rest.rest_reply import RestReply
from fovea.serving.requests.answer import Answer
from fovea.serving.requests.infer_request import InferRequest
from fovea.serving.requests.inference import Inference

_JSON_LENGTH = "inference-header-content-length"
_ENCODING = "content-encoding"


class InferEndpoint:
    """Answers POST …/infer: JSON, JSON with binary data, or a picture."""

    def __init__(self, inference: Inference, bulk: Bulk, limits: RestLimits, origins: Origins) -> None:
        self._inference, self._bulk, self._limits, self._origins = inference, bulk, limits, origins
        self._bodies = RequestBodies(limits)

    def bound(self, headers: Mapping[str, str]) -> Bound:
        """How large the body may be: a plain one without binary data is all JSON."""
        if _JSON_LENGTH in headers or _ENCODING in headers or is_picture(headers.get("content-type", "")):
            return self._limits.body
        return self._limits.json

    def answer(self, exchange: Exchange) -> None:
        """Have a request answered whose body is here."""
        size = BULK_BYTES + 1 if _ENCODING in exchange.headers else exchange.held_bytes
        self._bulk.do(size, self._submit, exchange)

    def _submit(self, exchange: Exchange) -> None:
        try:
            asked, style = self._asked(exchange)
            if self._inference.wants_origins:
                asked.origin = self._origins.of(exchange)
            exchange.stray = None  # from now on it is the model's
            self._inference.submit(asked, RestReply(exchange, partial(self._take, exchange, style)))
        except Exception as error:
            exchange.refuse(error)
        exchange.let_go()

    def _asked(self, exchange: Exchange) -> tuple[InferRequest, AnswerStyle]:
        """The request, and how its answer is to be sent."""
        headers, names = exchange.headers, exchange.names
        name, version = names["name"], names.get("version", "")
        body = unpacked(exchange.body, headers.get(_ENCODING, "").lower(), self._limits.body)
        if is_picture(headers.get("content-type", "")):
            query = dict(parse_qsl(exchange.head.query, keep_blank_values=True))
            return picture_request(name, version, body, query), AnswerStyle(self._limits, {})
        json_bytes = _json_bytes(headers.get(_JSON_LENGTH))
        if (len(body) if json_bytes is None else json_bytes) > self._limits.json.bytes:
            raise self._limits.json.exceeded()
        return self._bodies.request(name, version, body, json_bytes)

    def _take(self, exchange: Exchange, style: AnswerStyle, answer: Answer) -> None:
        """From the engine's thread, which has more to do; InvalidRequest for an answer that cannot be written."""
        style.check(answer)
        answer.arrays = [array.copy() for array in answer.arrays]
        size = sum([array.nbytes for array in answer.arrays])
        exchange.soon(self._bulk.do, size, _write, exchange, style, answer)


def _write(exchange: Exchange, style: AnswerStyle, answer: Answer) -> None:
    try:
        exchange.answer(200, *_written(answer, style, packing(exchange.headers.get("accept-encoding", ""))))
    except Exception as error:
        exchange.refuse(error)


def _written(answer: Answer, style: AnswerStyle, packer: str) -> tuple[Mapping[str, str], bytes]:
    """An answer as headers and a body."""
    body = infer_answer(answer, style)
    headers = JSON
    if body.json_bytes is not None:
        headers = {"content-type": "application/octet-stream", _JSON_LENGTH: str(body.json_bytes)}
    if packer and is_worth_packing(body.data):
        return {**headers, _ENCODING: packer}, packed(body.data, packer)
    return headers, body.data


def _json_bytes(told: str | None) -> int | None:
    if told is None:
        return None
    if not (told.isascii() and told.isdigit() and len(told) <= 10):
        raise InvalidRequest(f"{_JSON_LENGTH.title()} must be a count of bytes, received '{told}'")
    return int(told)
