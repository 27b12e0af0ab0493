"""What bad input gets over HTTP: for the protocol's table the texts of gRPC, for JSON and HTTP their own."""

from __future__ import annotations

import gzip
import json
import math
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from bad_requests import BAD_REQUESTS, ROW, infer
from rest_calls import HTTP_STATUS, infer_body, infer_path, rest
from servers import RunningServer, running_server

GRPC_ONLY = {
    "raw and typed",
    "surplus raw",
    "very much surplus raw",
    "typed of the wrong type",
    "typed FP16",
    "very many axes",
}
"""Mistakes that cannot be made in JSON, or have a form of their own there: see below."""
PATH = "/v2/models/double/infer"
OFFER = b"POST /v2 HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: h2c\r\n"


def is_answered(server: RunningServer) -> bool:
    status, told, _ = rest(server, PATH, *infer_body(infer()))
    return (status, told["outputs"][0]["data"]) == (200, (ROW * 2).tolist())


@pytest.mark.parametrize("case", BAD_REQUESTS.keys() - GRPC_ONLY)
def test_a_bad_request_gets_the_text_that_it_gets_over_grpc(server: RunningServer, client: Any, case: str) -> None:
    fields, code, _ = BAD_REQUESTS[case]
    with pytest.raises(grpc.RpcError) as caught:
        client("ModelInfer", **fields)
    status, told, _ = rest(server, infer_path(fields), *infer_body(fields))
    assert (status, told) == (HTTP_STATUS[code], {"error": caught.value.details()})
    assert is_answered(server)


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4], **changes}


def ask(**changes: Any) -> bytes:
    return json.dumps({"inputs": [tensor(**changes)]}).encode()


def binary(size: Any) -> bytes:
    return json.dumps({"inputs": [{"name": "x", "parameters": {"binary_data_size": size}}]}).encode()


BAD_JSON: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "no JSON"),
    "a list": (b"[]", "expected a JSON object, received a list"),
    "no UTF-8": (b'{"id": "\xff"}', "no UTF-8"),
    "half a surrogate pair": (b'{"id": "\\ud800"}', "no UTF-8"),
    "UTF-16": ('{"id": "a"}'.encode("utf-16"), "no UTF-8"),
    "a key twice": (b'{"id": "a", "id": "b"}', "the key 'id' twice"),
    "one of very many keys twice": (
        b'{%s"7":0}' % b"".join(b'"%d":0,' % key for key in range(100_000)),
        "key '7' twice",
    ),
    "very many lists": (b'{"inputs": [' + b"[]," * 300_000 + b"[]]}", "more than 200000 '[' and '{'"),
    "deep nesting": (b'{"inputs": ' + b"[" * 100_000, "nested too deeply"),
    "many digits": (b'{"id": ' + b"9" * 10_000 + b"}", "too many digits"),
    "an id that is NaN": (b'{"id": NaN}', "'id' must be a text, received NaN or Infinity"),
    "a parameter that is infinite": (b'{"parameters": {"timeout": -Infinity}}', "received NaN or Infinity"),
    "an id that is a number": (b'{"id": 5}', "'id' must be a text, received an integer"),
    "inputs that are an object": (b'{"inputs": {}}', "'inputs' must be a list, received an object"),
    "an input that is a list": (b'{"inputs": [[]]}', "inputs[0] must be an object, received a list"),
    "an output that is a text": (b'{"outputs": ["y"]}', "outputs[0] must be an object, received a text"),
    "a name that is none": (ask(name=[]), "input: 'name' must be a text, received a list"),
    "a shape of texts": (ask(shape=["1", 4]), "input 'x': 'shape' must be a list of integers"),
    "a shape of huge integers": (ask(shape=[2**70, 4]), "input 'x': 'shape' must be a list of integers of 64 bits"),
    "a shape of very many huge integers": (
        ask(shape=[2**62] * 40_000, data=[[1, 2, 3, 4]]),
        "input 'x': 'shape' may have 64 axes, received 40000",
    ),
    "sizes whose sum has more digits than are told": (
        b'{"inputs": [%s]}' % b",".join([b'{"parameters": {"binary_data_size": %s}}' % (b"9" * 4300)] * 2),
        "input '': expected 99999",
    ),
    "very many parameters": (
        b'{"parameters": {%s}}' % b",".join(b'"%d":0' % key for key in range(20_000)),
        "expected at most 16384 parameters, received 20000",
    ),
    "a parameter that is a list": (
        b'{"parameters": {"timeout": []}}',
        "parameter 'timeout': expected an integer, received a list",
    ),
    "a parameter of 70 bits": (
        b'{"parameters": {"timeout": 1180591620717411303424}}',
        "received a number beyond 64 bits",
    ),
    "data that is a number": (ask(data=5), "input 'x': data must be a list, received an integer"),
    "data that is null": (ask(data=None), "input 'x': data must be a list, received null"),
    "ragged data": (ask(data=[[1, 2], [3]], shape=[2, 4]), "ragged"),
    "numbers beside lists": (ask(data=[[1], 2]), "ragged"),
    "data nested in another way": (ask(data=[[1, 2], [3, 4]]), "nested as [1, 4] or flat, received [2, 2]"),
    "texts for numbers": (ask(data=["1", 2, 3, 4]), "FP32 data must be numbers, received a text"),
    "truths for numbers": (ask(data=[True, 2, 3, 4]), "FP32 data must be numbers, received true or false"),
    "null for a number": (ask(data=[None, 2, 3, 4]), "FP32 data must be numbers, received null"),
    "objects for numbers": (ask(data=[{}, 2, 3, 4]), "FP32 data must be numbers, received an object"),
    "a number above its type": (ask(data=[1e39, 2, 3, 4]), "input 'x': a value does not fit FP32"),
    "a number above all types": (ask().replace(b"[1, 2", b"[1e999, 2"), "a value does not fit FP32"),
    "an integer of 4000 digits": (ask(data=[10**4000, 2, 3, 4]), "input 'x': a value does not fit FP32"),
    "too few": (ask(data=[1, 2, 3]), "input 'x': expected 4 elements, received 3"),
    "binary data without any": (
        ask(data=[1], parameters={"binary_data_size": 4}),
        "data in JSON and binary data together",
    ),
    "binary data of less than nothing": (binary(-4), "at least 0, received -4"),
    "binary data of some size": (binary("16"), "at least 0, received a text"),
    "a flag that is a text": (b'{"parameters": {"binary_data_output": "yes"}}', "must be true or false"),
}


@pytest.fixture(scope="module")
def server(repository: Any) -> Iterator[RunningServer]:
    with running_server(repository, "--max-batch-rows=8", "--max-message-mb=1") as server:
        yield server


@pytest.mark.parametrize("case", BAD_JSON)
def test_bad_json_gets_400_and_what_was_expected(server: RunningServer, case: str) -> None:
    body, words = BAD_JSON[case]
    status, told, _ = rest(server, PATH, body)
    assert (status, list(told)) == (400, ["error"]), told
    assert words in told["error"], told
    assert is_answered(server)


@pytest.mark.parametrize(
    ("model", "datatype", "data", "words"),
    [
        ("integers", "INT32", [1, 2.0], "INT32 data must be integers, received a number with a fraction"),
        ("integers", "INT32", [1, math.inf], "INT32 data must be integers, received NaN or Infinity"),
        ("texts", "BYTES", ["a", math.nan], "must be texts; what is no UTF-8 travels as binary data, received NaN"),
        ("integers", "INT32", [1, 2**31], "input 'x': a value does not fit INT32"),
        ("integers8", "INT8", [1, 10**30], "input 'x': a value does not fit INT8"),
        ("texts", "BYTES", ["a", 5], "BYTES data must be texts; what is no UTF-8 travels as binary data"),
    ],
)
def test_values_of_the_wrong_type_are_refused(
    server: RunningServer, model: str, datatype: str, data: list[Any], words: str
) -> None:
    body = json.dumps({"inputs": [tensor(shape=[1, 2], datatype=datatype, data=data)]}).encode()
    status, told, _ = rest(server, f"/v2/models/{model}/infer", body)
    assert status == 400
    assert words in told["error"]


@pytest.mark.parametrize(
    ("length", "words"),
    [("-1", "count of bytes"), ("x", "count of bytes"), ("9" * 40, "count of bytes"), ("99999", "99999 bytes of JSON")],
)
def test_a_wrong_length_of_the_json_is_refused(server: RunningServer, length: str, words: str) -> None:
    body, _ = infer_body(infer())
    status, told, _ = rest(server, PATH, body, {"Inference-Header-Content-Length": length})
    assert status == 400
    assert words in told["error"]


@pytest.mark.parametrize(("data", "received"), [(ROW.tobytes() + b"more", 20), (ROW.tobytes()[:-1], 15), (b"", 0)])
def test_binary_data_of_another_size_than_is_told_is_refused(server: RunningServer, data: bytes, received: int) -> None:
    head = json.dumps(
        {"inputs": [{k: v for k, v in tensor(parameters={"binary_data_size": 16}).items() if k != "data"}]}
    )
    status, told, _ = rest(server, PATH, head.encode() + data, {"Inference-Header-Content-Length": str(len(head))})
    assert status == 400
    assert f"expected 16 bytes of binary data after the JSON, received {received}" in told["error"]


@pytest.mark.parametrize(
    ("body", "encoding", "status", "words"),
    [
        (gzip.compress(bytes(50 << 20)), "gzip", 413, "larger than 1048576 bytes"),
        (b"this is not packed", "gzip", 400, "no gzip"),
        (gzip.compress(ask())[:-4], "gzip", 400, "cut short"),
        (gzip.compress(ask()) + b"more", "gzip", 400, "goes on behind its end"),
        (ask(), "br", 415, "must be gzip or deflate, received 'br'"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_refused(
    server: RunningServer, body: bytes, encoding: str, status: int, words: str
) -> None:
    found, told, _ = rest(server, PATH, body, {"Content-Encoding": encoding})
    assert found == status
    assert words in told["error"]
    assert is_answered(server)


@pytest.mark.parametrize("path", [PATH, "/v2/repository/index"])
@pytest.mark.parametrize("megabytes", [1.5, 3])
def test_a_body_above_the_limit_is_refused(server: RunningServer, megabytes: float, path: str) -> None:
    status, told, headers = rest(server, path, bytes(int(megabytes * 2**20)))
    words = "the JSON is larger than 1048576 bytes (--max-json-mb); send tensors as binary data"
    assert (status, told) == (413, {"error": words})
    assert headers["connection"] == "close"
    assert is_answered(server)


def send(server: RunningServer, data: bytes) -> bytes:
    """Everything that comes back on a connection that sends these bytes and then waits."""
    with socket.create_connection(server.http_address, timeout=30) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01 this is no HTTP\r\n\r\n", b"400"),
        (b"GET /v2 HTTP/1.1\r\nhost: h\r\nno colon\r\n\r\n", b"400"),
        (b"GET /\xff HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /v2 HTTP/1.1\r\nhost: h\r\na: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET /v2 HTTP/1.1\r\nhost: h\r\n" + b"a: b\r\n" * 5_000 + b"\r\n", b"431"),
        (b"GET /v2 HTTP/1.1\r\nhost: h\r\na: " + b"x" * 1_000_000, b"431"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nhost: h\r\n\r\n", b"431"),
        (b"POST " + PATH.encode() + b" HTTP/1.1\r\nhost: h\r\ncontent-length: -5\r\n\r\n", b"400"),
        (b"POST " + PATH.encode() + b" HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (OFFER + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (OFFER + b"transfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
    ],
)
def test_what_is_no_http_request_is_refused(server: RunningServer, data: bytes, status: bytes) -> None:
    answer = send(server, data)
    assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert "error" in json.loads(answer.rpartition(b"\r\n\r\n")[2])
    assert is_answered(server)


def test_random_json_is_never_an_error_of_the_server(server: RunningServer) -> None:
    random = np.random.default_rng(0)
    good = json.dumps({"id": "a", "inputs": [tensor()], "outputs": [{"name": "y"}], "parameters": {"p": 1}})
    parts = ["[", "]", "{", "}", '"', ",", ":", "-1", "null", "1e400", "true", '"x"', "\\u0000", "[[", "9" * 30]
    for _ in range(300):
        at, length = random.integers(len(good)), random.integers(6)
        text = good[:at] + parts[random.integers(len(parts))] + good[at + length :]
        assert rest(server, PATH, text.encode())[0] in (200, 400, 404)
