"""Inference over HTTP that has to be refused: wrong headers of tensors, wrong JSON, wrong lengths, no HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from fovea.client.conformance.case import Case
from fovea.client.conformance.expectations import http_error_text, http_not_taken, http_refused
from fovea.client.conformance.http_infer_cases import BINARY, PACKED, ask_json, right_over_http
from fovea.client.conformance.http_requests import JSON_LENGTH, binary_body, infer_path, json_facts
from fovea.client.conformance.site import Site
from fovea.client.conformance.site import over_http as case
from fovea.client.conformance.subjects import infer_fields
from fovea.client.conformance.wrong_requests import wrong_requests


def http_refused_cases(site: Site) -> Iterator[Case]:
    """What is wrong, and after each kind a request that is right."""
    for wrong in wrong_requests(site):
        facts, path = json_facts(wrong.subject, wrong.fields), infer_path(wrong.fields)
        yield case(
            f"{wrong.name} refused",
            f"POST {path}, {wrong.name}",
            http_refused(),
            partial(ask_json, site, facts, path),
        )
    yield _answers_still(site, "wrong tensors")
    yield from _texts(site)
    yield from _data(site)
    yield from _json(site)
    yield _answers_still(site, "wrong JSON")
    yield from _binary(site)
    yield from _framing(site)
    yield _answers_still(site, "broken HTTP")


def _answers_still(site: Site, after: str) -> Case:
    fields = infer_fields(site.main)
    facts, path = json_facts(site.main, fields), infer_path(fields)
    name = f"after {after} requests are answered"
    return case(name, f"POST {path}", right_over_http(site.main), lambda: ask_json(site, facts, path))


def _texts(site: Site) -> Iterator[Case]:
    main, wanted = site.main, [{"name": "no such output"}]
    path = infer_path(infer_fields(main))
    unknown = json.dumps(json_facts(main, infer_fields(main, outputs=wanted))).encode()
    for name, body in (("an unknown output", unknown), ("half of an object", b'{"inputs": [')):
        ask = partial(site.http.ask, "POST", path, body)
        yield case(f"the error of {name} has a text", f"POST {path}, {name}", http_error_text(), ask)


def _data(site: Site) -> Iterator[Case]:
    main = site.main
    path = infer_path(infer_fields(main))
    wrong_value: Any = 5 if main.first.datatype == "BYTES" else "a word"
    values = json_facts(main, infer_fields(main))["inputs"][0]["data"]
    for name, data in (
        ("a value too few", values[:-1]),
        ("a value too many", [*values, values[0]]),
        ("no values", []),
        ("data that are null", None),
        ("data that are an object", {"0": values[0]}),
        ("a value of another type", [*values[:-1], wrong_value]),
        ("a value that is an object", [*values[:-1], {}]),
    ):
        facts = json_facts(main, infer_fields(main))
        facts["inputs"][0]["data"] = data
        yield case(f"{name} refused", f"POST {path}, {name}", http_refused(), partial(ask_json, site, facts, path))


def _json(site: Site) -> Iterator[Case]:
    path = infer_path(infer_fields(site.main))
    whole = json.dumps(json_facts(site.main, infer_fields(site.main))).encode()
    for name, body in (
        ("no body", b""),
        ("half of an object", whole[: len(whole) // 2]),
        ("an object and more", whole + b"]"),
        ("a list", b"[]"),
        ("a number", b"7"),
        ("an object without inputs", b"{}"),
        ("inputs that are null", b'{"inputs": null}'),
        ("inputs that are an object", b'{"inputs": {}}'),
        ("an input that is a list", b'{"inputs": [[]]}'),
        ("JSON that is no UTF-8", whole.replace(b'"name"', b'"na\xffme"', 1)),
        ("lists in lists, 50000 deep", b'{"inputs": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
        ("random bytes", b"\x00\x01\xff\xfe" * 64),
    ):
        yield case(
            f"{name} refused",
            f"POST {path}, {name}",
            http_refused(),
            partial(site.http.ask, "POST", path, body),
        )


def _binary(site: Site) -> Iterator[Case]:
    main = site.main
    path = infer_path(infer_fields(main))
    body, headers = binary_body(infer_fields(main))
    for words, sent, more in (
        ("a byte of binary data too few", body[:-1], headers),
        ("a byte of binary data too many", body + b"\0", headers),
        ("no binary data", body[: int(headers[JSON_LENGTH])], headers),
        ("a length of JSON beyond the body", body, {**headers, JSON_LENGTH: str(len(body) + 1000)}),
        ("a negative length of JSON", body, {**headers, JSON_LENGTH: "-1"}),
        ("a length of JSON that is no number", body, {**headers, JSON_LENGTH: "many"}),
        ("a length of JSON of 40 digits", body, {**headers, JSON_LENGTH: "9" * 40}),
        ("a length of JSON that cuts it", body, {**headers, JSON_LENGTH: "5"}),
    ):
        yield case(
            f"{words} refused",
            f"POST {path}, {words}",
            http_refused(),
            partial(site.http.ask, "POST", path, sent, more),
            BINARY,
        )
    for words, sent in (("what is no gzip", b"no gzip"), ("a gzip of nothing else", b"\x1f\x8b\x08")):
        packed = {"content-encoding": "gzip"}
        yield case(
            f"{words} refused",
            f"POST {path}, {words}",
            http_refused(),
            partial(site.http.ask, "POST", path, sent, packed),
            PACKED,
        )


def _framing(site: Site) -> Iterator[Case]:
    path = infer_path(infer_fields(site.main))
    post = f"POST {path} HTTP/1.1\r\nHost: {site.http.address}\r\nContent-Type: application/json\r\n".encode()
    get = f"GET /v2 HTTP/1.1\r\nHost: {site.http.address}\r\n".encode()
    for name, data in (
        ("bytes that are no HTTP", b"\x16\x03\x01\x02 this is no HTTP\r\n\r\n"),
        ("a header without a colon", get + b"no colon\r\n\r\n"),
        ("a path of 300 KB", b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("a negative content length", post + b"Content-Length: -5\r\n\r\n"),
        ("a content length that is no number", post + b"Content-Length: many\r\n\r\n"),
        ("two content lengths that differ", post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}    "),
        ("a chunk without a size", post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        ("a body that ends too early", post + b"Content-Length: 500\r\n\r\n{}"),
        ("a chunk that ends too early", post + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{}"),
    ):
        asked = f"{len(data)} bytes, then the end of what is sent"
        yield case(f"{name} refused", asked, http_not_taken(), partial(site.http.raw, data, half_close=True))
