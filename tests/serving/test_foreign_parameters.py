"""Parameters that other servers' clients leave on requests, inputs and outputs: they change nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bad_requests import ROW, infer, tensor
from rest_calls import rest
from servers import RunningServer

PATH = "/v2/models/double/infer"
DOUBLED = (ROW * 2).tobytes()
CHOICES: dict[str, dict[str, Any]] = {
    "bool": {"bool_param": True},
    "int64": {"int64_param": 16},
    "string": {"string_param": "np"},
    "double": {"double_param": 0.5},
    "uint64": {"uint64_param": 2**63},
    "nothing": {},
}
VALUES = [True, 16, 0.5, "np", None, [1], {"a": {"b": 1}}, 2**80, -(2**70)]


def answer(client: Any, **changes: Any) -> bytes:
    return bytes(client("ModelInfer", **infer(**changes)).raw_output_contents[0])


@pytest.mark.parametrize("value", CHOICES)
def test_a_parameter_that_is_not_known_changes_nothing(client: Any, value: str) -> None:
    parameters = dict.fromkeys(("binary_data_size", "content_type", "colour"), CHOICES[value])
    outputs = [{"name": "y", "parameters": {**parameters, "binary_data": CHOICES[value]}}]
    assert answer(client, inputs=[tensor(parameters=parameters)], outputs=outputs, parameters=parameters) == DOUBLED


def test_kserves_binary_inputs_are_answered(client: Any) -> None:
    sized = tensor(parameters={"binary_data_size": {"int64_param": ROW.nbytes}})
    assert answer(client, inputs=[sized]) == DOUBLED


def test_what_mlservers_codecs_write_beside_typed_and_raw_contents_is_answered(client: Any) -> None:
    kind = {"content_type": {"string_param": "np"}}
    typed = tensor(contents={"fp32_contents": ROW}, parameters=kind)
    raw = tensor(contents={}, parameters=kind)
    assert answer(client, inputs=[raw], parameters=kind) == DOUBLED
    outputs = [{"name": "y", "parameters": kind}]
    assert answer(client, inputs=[typed], raw_input_contents=[], outputs=outputs, parameters=kind) == DOUBLED


@pytest.mark.parametrize("value", VALUES)
def test_over_http_too_whatever_json_it_is(server: RunningServer, value: Any) -> None:
    parameters = {"content_type": value, "headers": value}
    sent = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ROW.tolist(), "parameters": parameters}
    body = {"inputs": [sent], "outputs": [{"name": "y", "parameters": parameters}], "parameters": parameters}
    status, told, _ = rest(server, PATH, json.dumps(body).encode())
    assert (status, told.get("outputs", told)[0]["data"]) == (200, (ROW * 2).tolist())


@pytest.mark.parametrize(
    ("where", "parameters", "told"),
    [
        ("parameters", {"timeout": []}, "parameter 'timeout': expected an integer, received a list"),
        ("parameters", {"triton_x": {}}, "parameter 'triton_x': names that begin with triton_ are reserved"),
        ("parameters", {"binary_data_output": 1}, "'binary_data_output' must be true or false"),
        (
            "inputs",
            {"shared_memory_region": {}},
            "without 'shared_memory_byte_size'",
        ),
        ("inputs", {"binary_data_size": "16"}, "input 'x': data in JSON and binary data together"),
        ("outputs", {"classification": None}, "output 'y': classification: expected an integer, received nothing"),
        ("outputs", {"classification": "3"}, "output 'y': classification: expected an integer"),
        ("outputs", {"binary_data": "yes"}, "output 'y': parameter 'binary_data' must be true or false"),
    ],
)
def test_a_known_parameter_of_another_type_is_refused(
    server: RunningServer, where: str, parameters: dict[str, Any], told: str
) -> None:
    sent: dict[str, Any] = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ROW.tolist()}
    body: dict[str, Any] = {"inputs": [sent], "outputs": [{"name": "y"}]}
    (body if where == "parameters" else body[where][0])["parameters"] = parameters
    status, refused, _ = rest(server, PATH, json.dumps(body).encode())
    assert status == 400
    assert told in refused["error"]
