"""Control RPCs' messages: requests to plain records, and plain answers to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fovea.serving.control.control_requests import REQUESTS
from fovea.serving.fronts.grpc.plain_parameters import plain
from fovea.wire import message

_TRACE = "TraceSetting"
_LOG_FIELDS = {bool: "bool_param", int: "uint32_param", str: "string_param"}


def request_of(rpc: str, sent: Any) -> Any:
    """The record (see REQUESTS) of a request's message."""
    plain_map = _lists if rpc == _TRACE else plain
    values = {field.name: getattr(sent, field.name) for field in fields(REQUESTS[rpc])}
    return REQUESTS[rpc](
        **{name: plain_map(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    )


def _lists(settings: Mapping[str, Any]) -> dict[str, list[str]]:
    return {name: list(setting.value) for name, setting in settings.items()}


def answer_bytes(rpc: str, answer: Mapping[str, Any]) -> bytes:
    """The message of an answer's fields, serialized."""
    if "settings" in answer:
        answer = {"settings": {name: _setting(rpc, value) for name, value in answer["settings"].items()}}
    return bytes(message(f"{rpc}Response")(**answer).SerializeToString())


def _setting(rpc: str, value: Any) -> dict[str, Any]:
    return {"value": [value]} if rpc == _TRACE else {_LOG_FIELDS[type(value)]: value}
