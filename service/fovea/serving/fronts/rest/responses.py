"""Answers as bytes: heads, pieces, and errors as JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType

from fovea.contract.errors import Unauthenticated
from fovea.serving.fronts.rest.http_status import StatusTable, status_of
from fovea.serving.fronts.rest.json_values import json_data
from fovea.serving.fronts.rest.refusal import Refusal

Headers = Mapping[str, str]
JSON: Headers = MappingProxyType({"content-type": "application/json"})
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_PIECE = b"0\r\n\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed Request"}


def head_of(status: int, headers: Headers, framing: str, *, last: bool) -> bytes:
    """An answer's head. `framing` says how its end is seen, as a header; `last`, that the connection ends with it."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    close = "connection: close\r\n" if last else ""
    head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\ndate: {_date(int(time.time()))}\r\n{lines}{framing}{close}\r\n"
    return head.encode("latin-1")


def piece_of(data: bytes) -> bytes:
    """A part of an answer that comes in pieces; of nothing, which would be the last, nothing."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def error_body(text: str) -> bytes:
    """What an error looks like."""
    return json_data({"error": text})


def refusal_of(error: Exception, table: StatusTable) -> Refusal:
    """What a caller is told of an error."""
    if isinstance(error, Refusal):
        return error
    wanted = {"www-authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}
    return Refusal(*status_of(error, table), headers=wanted)


@lru_cache(1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
