"""The protocol over HTTP: Triton's HTTP client unchanged, JSON by hand, and what both fronts must agree on."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import numpy as np
import pytest
import tritonclient.http as http_client
from tritonclient.utils import InferenceServerException

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.json_values import to_json
from rest_calls import rest
from servers import RunningServer, running_server

X = np.arange(4, dtype=np.float32)[None]


@pytest.fixture(scope="module")
def server(repository: Any) -> Iterator[RunningServer]:
    with running_server(repository, "--max-batch-rows=8", "--max-message-mb=1", "--ready-when=any") as server:
        yield server


@pytest.fixture
def triton(server: RunningServer) -> Iterator[http_client.InferenceServerClient]:
    with http_client.InferenceServerClient(server.http.removeprefix("http://")) as client:
        yield client


def input_of(array: Any, datatype: str = "FP32", *, binary: bool = True) -> http_client.InferInput:
    tensor = http_client.InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def output(*, binary: bool = True, top: int = 0) -> list[http_client.InferRequestedOutput]:
    return [http_client.InferRequestedOutput("y", binary_data=binary, class_count=top)]


def ask(data: Any, shape: list[int], datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "data": data}], **more}


@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("packing", [None, "gzip", "deflate"])
def test_tritons_client_gets_its_answer_in_every_form(
    triton: Any, binary_in: bool, binary_out: bool, packing: str | None
) -> None:
    answer = triton.infer(
        "double",
        [input_of(X, binary=binary_in)],
        outputs=output(binary=binary_out),
        request_id="seven",
        request_compression_algorithm=packing,
        response_compression_algorithm=packing,
    )
    np.testing.assert_array_equal(answer.as_numpy("y"), X * 2)
    assert answer.get_response()["id"] == "seven"


def test_tritons_client_gets_every_output_as_binary_data_where_it_names_none(triton: Any) -> None:
    answer = triton.infer("double", [input_of(X)])
    assert answer.get_response()["outputs"][0]["parameters"] == {"binary_data_size": 16}
    np.testing.assert_array_equal(answer.as_numpy("y"), X * 2)


@pytest.mark.parametrize(
    ("model", "datatype", "array"),
    [
        ("integers", "INT32", np.array([[-(2**31), 2**31 - 1]], np.int32)),
        ("integers8", "INT8", np.array([[-128, 127]], np.int8)),
        ("double", "FP32", np.array([[1e-38, 0.1, 3e37, -0.0]], np.float32)),
        ("double", "FP32", np.array([[np.nan, np.inf, -np.inf, 1.5]], np.float32)),
        ("texts", "BYTES", np.array([["boot", "bottine d'été"]], np.object_)),
    ],
)
def test_values_come_back_as_they_went_in_json_and_in_binary(
    triton: Any, model: str, datatype: str, array: Any
) -> None:
    for binary in (True, False):
        answer = triton.infer(model, [input_of(array, datatype, binary=binary)], outputs=output(binary=binary))
        found = answer.as_numpy("y")
        expected = array * (2 if model == "double" else 1)
        decode = np.vectorize(lambda element: element.decode() if isinstance(element, bytes) else element)
        np.testing.assert_array_equal(decode(found) if datatype == "BYTES" else found, expected)


def test_half_floats_travel_as_binary_data_only(triton: Any, server: RunningServer) -> None:
    array = np.array([[0.5, -2]], np.float16)
    np.testing.assert_array_equal(triton.infer("half", [input_of(array, "FP16")]).as_numpy("y"), array)
    status, told, _ = rest(server, "/v2/models/half/infer", ask([1, 2], [1, 2], "FP16"))
    assert (status, told) == (400, {"error": "input 'x': FP16 has no form in JSON, send it as binary data"})
    with pytest.raises(InferenceServerException, match="output 'y': FP16 has no form in JSON"):
        triton.infer("half", [input_of(array, "FP16")], outputs=output(binary=False))


def test_texts_that_are_no_utf_8_have_no_form_in_json() -> None:
    with pytest.raises(InvalidRequest, match="output 'y': an element is no UTF-8, ask for it with binary_data"):
        to_json("y", np.array([b"\xff"], np.object_))


def test_classes_come_as_texts(triton: Any) -> None:
    answer = triton.infer("double", [input_of(X)], outputs=output(binary=False, top=2))
    assert answer.get_response()["outputs"][0]["data"] == ["6.000000:3", "4.000000:2"]


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2, 3, 4]], [1.0, 2, 3e0, 4]])
def test_data_is_flat_or_nested(server: RunningServer, data: Any) -> None:
    _, told, _ = rest(server, "/v2/models/double/infer", ask(data, [1, 4], id="a"))
    facts = {"name": "y", "datatype": "FP32", "shape": [1, 4], "data": [2.0, 4.0, 6.0, 8.0]}
    assert told == {"model_name": "double", "model_version": "1", "id": "a", "outputs": [facts]}


def test_what_is_no_number_travels_as_a_text_and_back(server: RunningServer) -> None:
    data = ["NaN", "Infinity", "-Infinity", 1.5]
    _, told, _ = rest(server, "/v2/models/double/infer", ask(data, [1, 4]))
    assert told["outputs"][0]["data"] == ["NaN", "Infinity", "-Infinity", 3.0]
    _, binary, _ = rest(server, "/v2/models/double/infer", ask(data, [1, 4], parameters={"binary_data_output": True}))
    np.testing.assert_array_equal(np.frombuffer(binary[-16:], np.float32), [np.nan, np.inf, -np.inf, 3])


def test_json_and_binary_inputs_may_be_mixed(server: RunningServer) -> None:
    inputs = [
        {"name": "b", "shape": [1, 4], "datatype": "FP32", "data": [1, 1, 1, 1]},
        {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}},
    ]
    head = json.dumps({"inputs": inputs}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    status, told, _ = rest(server, "/v2/models/pair/infer", head + X.tobytes(), headers)
    assert (status, told["outputs"][0]["data"]) == (200, [-1, 0, 1, 2])


def test_a_request_in_chunks_is_answered(server: RunningServer) -> None:
    connection = HTTPConnection(server.http.removeprefix("http://"), timeout=20)
    body = json.dumps(ask([1, 2, 3, 4], [1, 4])).encode()
    connection.request("POST", "/v2/models/double/infer", iter([body[:9], body[9:]]), encode_chunked=True)
    assert json.load(connection.getresponse())["outputs"][0]["data"] == [2, 4, 6, 8]
    connection.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_an_offer_to_speak_http_2_is_passed_over_and_the_body_is_read(server: RunningServer, chunked: bool) -> None:
    """As Java's HttpClient makes it, and `curl --http2`."""
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQCAAAA"}
    connection = HTTPConnection(server.http.removeprefix("http://"), timeout=20)
    for _ in range(2):
        for data in ([1, 2, 3, 4], [5, 6, 7, 8]):
            body = json.dumps(ask(data, [1, 4])).encode()
            sent = iter([body[:9], body[9:]]) if chunked else body
            connection.request("POST", "/v2/models/double/infer", sent, offer, encode_chunked=chunked)
            assert json.load(connection.getresponse())["outputs"][0]["data"] == [2 * value for value in data]
        connection.request("GET", "/v2/health/live", headers=offer)
        assert json.load(connection.getresponse()) == {"live": True}
    connection.close()


@pytest.mark.parametrize(("accepted", "packing"), [("gzip, deflate, br", "gzip"), ("br, deflate", "deflate")])
def test_a_large_answer_is_packed_as_the_caller_accepts(server: RunningServer, accepted: str, packing: str) -> None:
    request = ask([0.5] * 5000, [1, 5000])
    _, data, headers = rest(server, "/v2/models/any_length/infer", request, {"Accept-Encoding": accepted})
    assert headers["content-encoding"] == packing
    unpacked = gzip.decompress(data) if packing == "gzip" else zlib.decompress(data)
    assert json.loads(unpacked)["outputs"][0]["data"] == [-0.5] * 5000
    refused = {"Accept-Encoding": "gzip;q=0"}
    assert "content-encoding" not in rest(server, "/v2/models/any_length/infer", request, refused)[2]


def test_tritons_client_reads_what_the_server_tells_of_itself(triton: Any) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("double", "1")
    for name, version in (("damaged", ""), ("nope", ""), ("double", "7")):
        assert not triton.is_model_ready(name, version)
    assert triton.get_server_metadata()["name"] == "triton"
    assert triton.get_model_metadata("double", "1")["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert triton.get_model_config("double")["input"][0]["dims"] == [4]
    states = {entry["name"]: entry["state"] for entry in triton.get_model_repository_index()}
    assert (states["double"], states["damaged"]) == ("READY", "UNAVAILABLE")


def test_statistics_count_the_requests_of_both_fronts(triton: Any) -> None:
    before = triton.get_inference_statistics("single")["model_stats"][0]["inference_count"]
    triton.infer("single", [input_of(np.ones(3, np.float32))])
    assert triton.get_inference_statistics("single", "1")["model_stats"][0]["inference_count"] == before + 1
    assert {stats["name"] for stats in triton.get_inference_statistics()["model_stats"]} >= {"single", "double"}


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/v2/models/nope", 404, "unknown model: 'nope'"),
        ("/v2/models/double/versions/7/config", 404, "version 7 is not found, there are ['1']"),
        ("/v2/models/double/versions/x/stats", 400, "string 'x', expected a positive integer"),
        ("/v2/models/damaged", 503, "UNAVAILABLE"),
        ("/v2/models/damaged/ready", 503, None),
        ("/v3", 404, "no such path: /v3"),
        ("/v2/health/live/", 404, "no such path: /v2/health/live/"),
        ("/v2/models/double/infer", 405, "Method Not Allowed"),
    ],
)
def test_other_paths_refuse_with_the_texts_of_the_rpcs(
    server: RunningServer, path: str, status: int, told: str | None
) -> None:
    found, answer, _ = rest(server, path)
    assert found == status
    assert answer == {"name": "damaged", "ready": False} if told is None else told in answer["error"]
