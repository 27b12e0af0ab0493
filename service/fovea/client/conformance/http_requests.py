"""A ModelInferRequest's fields as a request over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np

from fovea.client.conformance.subjects import Fields, Subject
from fovea.raw_tensors import NUMPY_DTYPE

JSON_LENGTH = "inference-header-content-length"


def model_path(name: str, version: str = "") -> str:
    """Where a model, or a version of it, is."""
    return f"/v2/models/{quote(name, safe='')}{f'/versions/{quote(version)}' if version else ''}"


def infer_path(fields: Mapping[str, Any]) -> str:
    """Where the request goes."""
    return f"{model_path(fields['model_name'], fields.get('model_version', ''))}/infer"


def json_facts(subject: Subject, fields: Fields) -> dict[str, Any]:
    """The request in JSON, with its data in it. What the model has no input for has the first input's datatype."""
    told = {tensor.name: tensor.datatype for tensor in subject.told}
    inputs = [dict(tensor) for tensor in fields["inputs"]]
    for tensor, raw in zip(inputs, fields["raw_input_contents"], strict=True):
        tensor["data"] = _json_data(told.get(tensor["name"], subject.first.datatype), raw)
    return {**_rest(fields), "inputs": inputs}


def binary_body(fields: Fields, **more: Any) -> tuple[bytes, dict[str, str]]:
    """The request with binary data behind its JSON, and the header that says where they begin."""
    raw = fields["raw_input_contents"]
    sizes = [{"parameters": {"binary_data_size": len(data)}} for data in raw]
    inputs = [{**tensor, **size} for tensor, size in zip(fields["inputs"], sizes, strict=True)]
    head = json.dumps({**_rest(fields), "inputs": inputs, **more}).encode()
    headers = {JSON_LENGTH: str(len(head)), "content-type": "application/octet-stream"}
    return b"".join([head, *raw]), headers


def _rest(fields: Fields) -> dict[str, Any]:
    facts: dict[str, Any] = {key: fields[key] for key in ("id", "outputs") if key in fields}
    if "parameters" in fields:
        facts["parameters"] = plain(fields["parameters"])
    return facts


def plain(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Parameters without the names of their types."""
    return {name: value for name, choice in parameters.items() for value in choice.values()}


def _json_data(datatype: str, raw: bytes) -> list[Any]:
    if datatype == "BYTES":
        return [text.decode() for text in _elements(raw)]
    values: list[Any] = np.frombuffer(raw, NUMPY_DTYPE[datatype]).tolist()
    return values


def _elements(raw: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "little")
        found.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return found
