"""A body that is a picture, as `curl --data-binary @boot.png` sends it: no JSON, no tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import ModelCard
from fovea.serving.inputs.raw_input import only_picture
from fovea.serving.requests.infer_request import InferRequest, InputTensor, RequestedOutput, RequestHeader

_TYPES = ("image/png", "image/jpeg")
_TOP = "classification"


def is_picture(content_type: str) -> bool:
    """Whether a body of this Content-Type is a picture."""
    return content_type.partition(";")[0].strip().lower() in _TYPES


def picture_request(model: str, version: str, body: bytes, query: Mapping[str, str]) -> InferRequest:
    """A request of one row; with `?classification=k`, for the k best classes of the first output."""
    top = _count(query[_TOP]) if _TOP in query else None
    header = RequestHeader(model, version, (), for_card=partial(_with_names, top))
    return InferRequest(header, [len(body).to_bytes(4, "little") + body], bytes=len(body))


def _with_names(top: int | None, header: RequestHeader, card: ModelCard) -> RequestHeader:
    name = only_picture(card)
    if name is None:
        raise InvalidRequest(f"model '{card.name}' takes no pictures: its card does not say how one becomes an input")
    outputs = [] if top is None else [RequestedOutput(card.outputs[0].name, {_TOP: top})]
    return replace(header, inputs=[InputTensor(name, "BYTES", (1,))], outputs=outputs, for_card=None)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest(f"{_TOP} must be a count of classes, received '{text}'")
    return int(text)
