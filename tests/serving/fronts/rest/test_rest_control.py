"""What Triton's HTTP clients send and read, beside inference: JSON to a plain request, and an answer to JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from fovea.contract.errors import InvalidRequest
from fovea.serving.control.control_requests import REQUESTS
from fovea.serving.fronts.rest.control_routes import CONTROL_ROUTES, ControlRoute
from fovea.serving.fronts.rest.limits import RestLimits

LIMITS = RestLimits(body_bytes=1 << 26, all_bodies_bytes=1 << 30, json_bytes=1 << 20, connections=1)
REGION = {"key": "/k", "offset": 8, "byte_size": 64}


def route(method: str, path: str) -> ControlRoute:
    return next(one for one in CONTROL_ROUTES if (one.method, one.path) == (method, path))


@pytest.mark.parametrize(
    ("method", "path", "names", "body", "fields"),
    [
        (
            "GET",
            "/v2/models/{name}/versions/{version}",
            {"name": "m", "version": "2"},
            None,
            {"name": "m", "version": "2"},
        ),
        ("POST", "/v2/repository/index", {}, {"ready": True}, {"ready": True}),
        ("POST", "/v2/repository/index", {}, None, {}),
        (
            *("POST", "/v2/repository/models/{name}/load", {"name": "m"}),
            {"parameters": {"config": "{}", "file:1/model.onnx": "b25ueA=="}},
            {"model_name": "m", "parameters": {"config": "{}", "file:1/model.onnx": b"onnx"}},
        ),
        (
            *(
                "POST",
                "/v2/repository/models/{name}/unload",
                {"name": "m"},
                {"parameters": {"unload_dependents": False}},
            ),
            {"model_name": "m", "parameters": {"unload_dependents": False}},
        ),
        ("GET", "/v2/systemsharedmemory/status", {}, None, {}),
        ("GET", "/v2/systemsharedmemory/region/{name:path}/status", {"name": "r"}, None, {"name": "r"}),
        ("POST", "/v2/systemsharedmemory/region/{name:path}/register", {"name": "r"}, REGION, {"name": "r", **REGION}),
        ("POST", "/v2/systemsharedmemory/region/{name:path}/unregister", {"name": "r"}, None, {"name": "r"}),
        ("GET", "/v2/trace/setting", {}, None, {}),
        (
            *("POST", "/v2/models/{name}/trace/setting", {"name": "m"}),
            {"trace_level": ["TIMESTAMPS"], "trace_rate": "10", "trace_count": None},
            {
                "model_name": "m",
                "settings": {"trace_level": ["TIMESTAMPS"], "trace_rate": ["10"], "trace_count": []},
            },
        ),
        (
            *("POST", "/v2/logging", {}, {"log_info": False, "log_verbose_level": 1, "log_format": "json"}),
            {"settings": {"log_info": False, "log_verbose_level": 1, "log_format": "json"}},
        ),
    ],
)
def test_a_body_becomes_the_request_of_its_rpc(
    method: str, path: str, names: dict[str, str], body: Any, fields: dict[str, Any]
) -> None:
    one = route(method, path)
    asked = one.request(names, b"" if body is None else json.dumps(body).encode())
    assert asked == REQUESTS[one.rpc](**fields)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v2/repository/index", {"ready": 1}, "'ready' must be true or false, received an integer"),
        ("/v2/repository/models/{name}/load", {"parameters": []}, "'parameters' must be an object, received a list"),
        (
            "/v2/repository/models/{name}/load",
            {"parameters": {"a": 1.5}},
            "parameter 'a': expected true or false; an integer; a text, received a number",
        ),
        ("/v2/repository/models/{name}/load", {"parameters": {"file:a": 5}}, "'file:a' must be a text in Base64"),
        ("/v2/systemsharedmemory/region/{name:path}/register", {"offset": -1}, "'offset' must be at least 0"),
        ("/v2/systemsharedmemory/region/{name:path}/register", {"byte_size": "9"}, "'byte_size' must be an integer"),
        ("/v2/trace/setting", {"trace_rate": 10}, "setting 'trace_rate' must be a text or a list of texts"),
        ("/v2/logging", {"log_verbose_level": -1}, "parameter 'log_verbose_level': -1 is out of range"),
        (
            "/v2/logging",
            {"log_info": None},
            "parameter 'log_info': expected true or false; an integer; a text, received null",
        ),
    ],
)
def test_a_body_that_does_not_fit_is_refused(path: str, body: Any, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        route("POST", path).request({"name": "m"}, json.dumps(body).encode())
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("path", "answer", "told"),
    [
        (
            "/v2/systemsharedmemory/status",
            {"regions": {"r": {"name": "r", **REGION}}},
            [{"name": "r", **REGION}],
        ),
        (
            "/v2/trace/setting",
            {"settings": {"trace_level": "OFF", "trace_rate": "1000", "trace_file": ""}},
            {"trace_level": ["OFF"], "trace_rate": "1000", "trace_file": ""},
        ),
        (
            "/v2/logging",
            {"settings": {"log_info": False, "log_verbose_level": 0}},
            {"log_info": False, "log_verbose_level": 0},
        ),
    ],
)
def test_an_answer_is_told_as_tritons_clients_read_it(path: str, answer: dict[str, Any], told: Any) -> None:
    one = route("GET", path)
    assert one.answer(answer, {}) == told


def test_only_the_route_that_takes_files_takes_much_json_and_that_only_in_long_texts() -> None:
    large = {one.path for one in CONTROL_ROUTES if one.bound(LIMITS).bytes > LIMITS.json_bytes}
    assert large == {"/v2/repository/models/{name}/load"}
    load, (path,) = {"name": "m"}, large
    file = b64encode(bytes(2 << 20)).decode()
    parsed = route("POST", path).request(load, json.dumps({"parameters": {"file:1/model.onnx": file}}).encode())
    assert len(parsed.parameters["file:1/model.onnx"]) == 2 << 20
    with pytest.raises(InvalidRequest, match="more than 65536 of the characters"):
        route("POST", path).request(load, json.dumps({"parameters": {"a": [1] * 100_000}}).encode())
