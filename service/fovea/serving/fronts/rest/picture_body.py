"""A body that is a picture, as `curl --data-binary @boot.png` sends it: no JSON, no tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import ModelCard
from fovea.serving.inputs.picture_input import picture_input
from fovea.wire import message

_TYPES = ("image/png", "image/jpeg")
_TOP = "classification"


def is_picture(content_type: str) -> bool:
    """Whether a body of this Content-Type is a picture."""
    return content_type.partition(";")[0].strip().lower() in _TYPES


def picture_request(card: ModelCard, version: str, body: bytes, query: Mapping[str, str]) -> Any:
    """A ModelInferRequest of one row; with `?classification=k`, for the k best classes of the first output."""
    pictures = picture_input(card)
    if pictures is None:
        raise InvalidRequest(f"model '{card.name}' takes no pictures: its card does not say how one becomes an input")
    element = len(body).to_bytes(4, "little") + body
    request = message("ModelInferRequest")(model_name=card.name, model_version=version, raw_input_contents=[element])
    request.inputs.add(name=pictures.name, datatype="BYTES", shape=[1])
    if _TOP in query:
        request.outputs.add(name=card.outputs[0].name).parameters[_TOP].int64_param = _count(query[_TOP])
    return request


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest(f"{_TOP} must be a count of classes, received '{text}'")
    return int(text)
