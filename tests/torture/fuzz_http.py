"""Fuzzed HTTP requests: JSON that is nearly right, lengths that do not fit, paths and methods that are not there."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

from tests.bad_requests import BAD_REQUESTS
from tests.rest_calls import infer_body
from tests.torture.fuzz_client import ANSWERED_WITHIN_S, AS_THE_TABLE_SAYS, Failure, Tally
from tests.torture.fuzzed import WORDS
from tests.torture.mutation import Mutator
from tests.torture.right_requests import REGION_KEY

from fovea.serving.fronts.rest.control_routes import CONTROL_ROUTES

HTTP = "HTTP"
_CONTROL = (
    *((route.method, route.path) for route in CONTROL_ROUTES),
    ("GET", ""),
    ("GET", "/v3"),
    ("POST", "/metrics"),
)
_BODIES: tuple[Any, ...] = (
    {},
    {"ready": True},
    {"parameters": {"config": "{}", "unload_dependents": True}},
    {"key": REGION_KEY, "offset": 0, "byte_size": 64},
    {"trace_level": ["TIMESTAMPS"], "trace_rate": "1"},
    {"log_verbose_level": 1, "log_info": True},
)
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW")
_ODD = (None, True, 0, -1, 1.5, 1e400, 2**70, "", "x", [], {}, [[[]]], ["x", 1], {"x": None})
_LENGTH = "Inference-Header-Content-Length"
_SERVERS_FAULT = "500"


@dataclass(frozen=True)
class Request:
    """What is sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def messages(self) -> tuple[bytes, ...]:
        """The request as a file has it."""
        head = json.dumps({"method": self.method, "path": self.path, "headers": dict(self.headers)}).encode()
        return (head + b"\n\n" + self.body,)


def fuzzed_request(seed: int, number: int) -> Request:
    """The request of that number."""
    random = Random(f"http/{seed}/{number}")
    if random.random() < 0.15:
        return _control(random)
    fields = random.choice([*(case[0] for case in BAD_REQUESTS.values()), *[_RIGHT] * 10])
    body, headers = infer_body(fields)
    return Request("POST", _path(random, fields), *_spoilt(random, body, headers))


_RIGHT: dict[str, Any] = {
    "model_name": "double",
    "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "contents": {"fp32_contents": [1, 2, 3, 4]}}],
}


def _control(random: Random) -> Request:
    """Of any route but …/infer, for any name; one in ten by a method of another."""
    method, path = random.choice(_CONTROL)
    path = path.replace(":path", "").format(
        name=quote(random.choice(WORDS), safe=""), version=quote(random.choice(WORDS), safe="")
    )
    facts = json.loads(json.dumps(random.choice(_BODIES)))
    if random.random() < 0.5:
        _spoil(random, facts)
    method = method if random.random() < 0.9 else random.choice(_METHODS)
    return Request(method, path, {}, json.dumps(facts).encode() if method == "POST" else b"")


def _path(random: Random, fields: Mapping[str, Any]) -> str:
    model = random.choice(WORDS) if random.random() < 0.1 else fields["model_name"]
    return f"/v2/models/{quote(model, safe='')}/infer"


def _spoilt(random: Random, body: bytes, headers: dict[str, str]) -> tuple[Mapping[str, str], bytes]:
    size = int(headers[_LENGTH])
    head, rest = body[:size], body[size:]
    if random.random() < 0.7:
        facts = json.loads(head)
        _spoil(random, facts)
        head = json.dumps(facts).encode()
    body = head + rest
    if random.random() < 0.3:
        body = Mutator(random, WORDS).spoil_bytes(body)
    stated = str(len(head)) if random.random() < 0.9 else random.choice(["", "-1", "x", "0", str(2**63), str(size + 1)])
    return {_LENGTH: stated}, body


def _spoil(random: Random, facts: Any) -> None:
    """Put something odd in one place of a tree."""
    keys = list(facts) if isinstance(facts, dict) else range(len(facts))
    if not keys:
        return
    key = random.choice(list(keys))
    if isinstance(facts[key], dict | list) and facts[key] and random.random() < 0.7:
        _spoil(random, facts[key])
    elif random.random() < 0.2:
        del facts[key]
    else:
        facts[key] = random.choice([*_ODD, random.choice(WORDS)])


def send_share(url: str, seed: int, numbers: range) -> Tally:
    """Send the requests of these numbers, one after another, on one connection where the server keeps it."""
    tally = Tally()
    connection = HTTPConnection(urlsplit(url).netloc, timeout=ANSWERED_WITHIN_S)
    for number in numbers:
        request = fuzzed_request(seed, number)
        begun_s = time.monotonic()
        status, text = _answer(connection, request)
        tally.messages += 1
        tally.statuses[HTTP, status] += 1
        tally.slowest_s = max(tally.slowest_s, time.monotonic() - begun_s)
        if not status.isdecimal() or (status == _SERVERS_FAULT and AS_THE_TABLE_SAYS not in text):
            tally.failures.append(Failure(number, HTTP, status, text))
    connection.close()
    return tally


def _answer(connection: HTTPConnection, request: Request) -> tuple[str, str]:
    try:
        connection.request(request.method, request.path or "/", request.body, dict(request.headers))
        answer = connection.getresponse()
        return str(answer.status), answer.read().decode("utf-8", "replace")
    except (HTTPException, OSError) as error:
        connection.close()
        return type(error).__name__, str(error)
