"""HTTP requests to a running server, and what a ModelInferRequest's fields look like there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import grpc
import numpy as np

if TYPE_CHECKING:
    from servers import RunningServer

HTTP_STATUS: dict[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""What a gRPC status is over HTTP."""


def rest(
    server: RunningServer,
    path: str,
    body: bytes | dict[str, Any] | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
    method: str = "",
) -> tuple[int, Any, dict[str, str]]:
    """Status, JSON (or bytes) and headers of one answer; POST where there is a body."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    connection = HTTPConnection(urlsplit(server.http).netloc, timeout=60)
    try:
        connection.request(method or ("GET" if data is None else "POST"), path, data, dict(headers))
        answer = connection.getresponse()
        content = answer.read()
        found = {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()
    plain = found.get("content-type") == "application/json" and "content-encoding" not in found
    return answer.status, json.loads(content) if plain else content, found


def infer_path(fields: Mapping[str, Any]) -> str:
    """Where a request of these fields goes."""
    version = fields.get("model_version")
    return f"/v2/models/{quote(fields['model_name'])}{f'/versions/{version}' if version else ''}/infer"


def infer_body(fields: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    """A request's body and headers: raw contents as binary data, typed ones as JSON."""
    raw = list(fields.get("raw_input_contents", ()))
    inputs = [_input(tensor) for tensor in fields["inputs"]]
    for tensor, data in zip(inputs, raw, strict=False):
        tensor["parameters"] = {**tensor.get("parameters", {}), "binary_data_size": len(data)}
    facts = {"inputs": inputs, "parameters": _plain(fields.get("parameters", {}))}
    if "outputs" in fields:
        facts["outputs"] = [
            {**output, "parameters": _plain(output.get("parameters", {}))} for output in fields["outputs"]
        ]
    head = json.dumps(facts).encode()
    return b"".join([head, *raw]), {"Inference-Header-Content-Length": str(len(head))}


def _input(tensor: Mapping[str, Any]) -> dict[str, Any]:
    facts = {**tensor, "shape": list(tensor["shape"])}
    for values in facts.pop("contents", {}).values():
        facts["data"] = np.asarray(values).tolist()
    if "parameters" in facts:
        facts["parameters"] = _plain(facts["parameters"])
    return facts


def _plain(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for name, choice in parameters.items() for value in choice.values()}
