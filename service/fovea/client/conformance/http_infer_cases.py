"""Inference over HTTP that has to be answered: JSON, binary data, packed bodies, several requests on a connection."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from fovea.client.conformance.case import Came, Case, Expected
from fovea.client.conformance.expectations import http_ok
from fovea.client.conformance.grpc_infer_cases import FOREIGN
from fovea.client.conformance.http_front import HttpAnswer
from fovea.client.conformance.http_requests import binary_body, infer_path, json_facts
from fovea.client.conformance.site import Site, cannot_ask
from fovea.client.conformance.site import over_http as case
from fovea.client.conformance.subjects import Fields, Subject, infer_fields
from fovea.client.conformance.tensors import alike, http_outputs
from fovea.contract.datatypes import DATATYPES

BINARY, PACKED = "binary_tensor_data", "packed_bodies"
_NO_HEADERS: Mapping[str, str] = {}


def right_over_http(subject: Subject, rows: int = 1) -> Expected:
    """The answer that the model gave over gRPC."""
    assert subject.answer is not None
    expected = subject.answer
    return http_ok("the same outputs as over gRPC", lambda told: alike(http_outputs(told), expected, rows))


def http_infer_cases(site: Site) -> Iterator[Case]:
    """Every form that a request may have."""
    for subject in site.subjects:
        if all(DATATYPES[tensor.datatype].contents for tensor in (*subject.told, *subject.outputs)):
            yield _json(site, f"{subject.name} answers JSON", subject, infer_fields(subject))
    yield from _facts(site)
    yield from _forms(site)
    yield from _binary(site)
    yield from _packed(site)
    yield from _connections(site)


def ask_json(site: Site, facts: Mapping[str, Any], path: str, headers: Mapping[str, str] = _NO_HEADERS) -> Came:
    """An inference whose data are in its JSON."""
    return site.http.ask("POST", path, json.dumps(facts).encode(), headers)


def _json(site: Site, name: str, subject: Subject, fields: Fields, rows: int = 1, **facts: Any) -> Case:
    path, body = infer_path(fields), {**json_facts(subject, fields), **facts}
    return case(name, f"POST {path}", right_over_http(subject, rows), lambda: ask_json(site, body, path))


def _facts(site: Site) -> Iterator[Case]:
    main = site.main
    names = {output.name: output for output in main.outputs}
    for words, check in (
        ("the model's name", lambda told: told.json["model_name"] == main.name),
        ("the request's id", lambda told: told.json["id"] == "no. 7 ü"),
        ("every output of the metadata", lambda told: {one["name"] for one in told.json["outputs"]} == set(names)),
        (
            "the outputs' datatypes",
            lambda t: all(names[o["name"]].datatype == o["datatype"] for o in t.json["outputs"]),
        ),
        ("a list of numbers or texts as data", lambda t: all(isinstance(o["data"], list) for o in t.json["outputs"])),
        ("JSON as its type", lambda told: "application/json" in told.headers["content-type"]),
    ):
        fields = infer_fields(main, id="no. 7 ü")
        facts, path = json_facts(main, fields), infer_path(fields)
        yield case(
            f"an answer has {words}",
            f"POST {path}, id 'no. 7 ü'",
            http_ok(words, check),
            partial(ask_json, site, facts, path),
        )


def _forms(site: Site) -> Iterator[Case]:
    main = site.main
    plain = infer_fields(main)
    yield _json(site, "a version may be named", main, infer_fields(main, model_version=main.version))
    wanted = [{"name": output.name} for output in main.outputs]
    yield _json(site, "outputs may be asked for by name", main, infer_fields(main, outputs=wanted))
    nested = json_facts(main, plain)
    for tensor in nested["inputs"]:
        tensor["data"] = json.loads(json.dumps(tensor["data"]))
        array = main.inputs[tensor["name"]]
        if array.dtype.kind != "O":
            tensor["data"] = array.tolist()
    path = infer_path(plain)
    yield case("data may be nested lists", f"POST {path}", right_over_http(main), lambda: ask_json(site, nested, path))
    for words, value in FOREIGN.items():
        name = f"an unknown parameter that is {words} changes nothing"
        yield _json(site, name, main, infer_fields(main, parameters={"fovea_conformance_unknown": value}))
    batch = site.one(lambda one: one.batches and (one.most_rows == 0 or one.most_rows > 1))
    if batch is None:
        yield cannot_ask("HTTP", "2 rows are answered as each alone", "a model of several rows a request")
    else:
        yield _json(site, "2 rows are answered as each alone", batch, infer_fields(batch, 2), 2)


def _binary(site: Site) -> Iterator[Case]:
    main = site.main
    plain = infer_fields(main)
    path = infer_path(plain)
    body, headers = binary_body(plain)
    names = [output.name for output in main.outputs]
    asked = [{"name": name, "parameters": {"binary_data": True}} for name in names]
    unasked = [{"name": name, "parameters": {"binary_data": False}} for name in names]
    whole, right = json_facts(main, plain), right_over_http(main)

    def has_data(told: HttpAnswer) -> bool:
        return "inference-header-content-length" in told.headers and alike(http_outputs(told), main.answer or {})

    binary = http_ok("the same outputs, as binary data", has_data)
    as_json = http_ok("the same outputs in JSON", lambda t: all("data" in one for one in t.json["outputs"]))
    alone = json.dumps(whole).encode()
    length = {"inference-header-content-length": str(len(alone))}
    for name, expected, sent, more in (
        ("binary data are taken", right, body, headers),
        ("binary data are taken, and given in JSON", as_json, *binary_body(plain, outputs=unasked)),
        (
            "binary data are given for outputs that ask for them",
            binary,
            json.dumps({**whole, "outputs": asked}).encode(),
            {},
        ),
        (
            "binary data are given where the request asks for them",
            binary,
            json.dumps({**whole, "parameters": {"binary_data_output": True}}).encode(),
            {},
        ),
        ("binary data both ways", binary, *binary_body(plain, outputs=asked)),
        ("a length of JSON without binary data", right, alone, length),
    ):
        yield case(name, f"POST {path}", expected, partial(site.http.ask, "POST", path, sent, more), BINARY)


def _packed(site: Site) -> Iterator[Case]:
    main = site.main
    plain = infer_fields(main)
    path, body = infer_path(plain), json.dumps(json_facts(main, plain)).encode()
    for name, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        packed, headers = pack(body), {"content-encoding": name}
        yield case(
            f"a body packed with {name}",
            f"POST {path}, content-encoding {name}",
            right_over_http(main),
            partial(site.http.ask, "POST", path, packed, headers),
            PACKED,
        )


def _connections(site: Site) -> Iterator[Case]:
    main, http = site.main, site.http
    plain = infer_fields(main)
    path, body = infer_path(plain), json.dumps(json_facts(main, plain)).encode()
    kept, last = http.request("POST", path, body, {}), http.request("POST", path, body, {"connection": "close"})
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:])) + b"0\r\n\r\n"
    chunked = {"transfer-encoding": "chunked", "content-type": "application/json", "connection": "close"}
    capitals = {"CONTENT-TYPE": "Application/JSON", "Connection": "close"}
    for name, asked, ask in (
        (
            "a connection is kept for a second request",
            "two POSTs, one after the other",
            lambda: http.raw(kept, last),
        ),
        (
            "a body in chunks",
            "POST in two chunks",
            lambda: http.raw(http.request("POST", path, None, chunked) + chunks),
        ),
        ("headers in capitals", "POST", lambda: http.ask("POST", path, body, capitals)),
        ("an Accept that is anything", "POST", lambda: http.ask("POST", path, body, {"accept": "*/*"})),
        (
            "no type of content, as Triton's client sends it",
            "POST",
            lambda: http.ask("POST", path, body, {"content-type": ""}),
        ),
    ):
        yield case(name, f"{asked}, {path}", right_over_http(main), ask)
