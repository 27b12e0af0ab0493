"""Control RPCs over gRPC and over HTTP: one answer, in two forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from raw_client import RawClient
from rest_calls import rest
from servers import RunningServer

X = np.arange(4, dtype=np.float32)[None]


def in_json(message: Any) -> Any:
    """A message in protobuf's JSON, also with fields that are empty."""
    return json_format.MessageToDict(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )


def as_texts(told: Any) -> Any:
    """Numbers as texts: protobuf's JSON has long ones so."""
    if isinstance(told, dict):
        return {name: as_texts(value) for name, value in told.items()}
    if isinstance(told, list):
        return list(map(as_texts, told))
    return told if isinstance(told, bool) else str(told)


@pytest.mark.parametrize(
    ("path", "rpc", "fields", "part"),
    [
        ("/v2", "ServerMetadata", {}, None),
        ("/v2/health/live", "ServerLive", {}, None),
        ("/v2/models/double", "ModelMetadata", {"name": "double"}, None),
        ("/v2/models/double/config", "ModelConfig", {"name": "double"}, "config"),
        ("/v2/models/double/stats", "ModelStatistics", {"name": "double"}, None),
        ("/v2/models/stats", "ModelStatistics", {}, None),
    ],
)
def test_an_answer_in_json_has_every_field_that_its_message_has(
    server: RunningServer, client: RawClient, path: str, rpc: str, fields: dict[str, str], part: str | None
) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": X.shape}
    client("ModelInfer", model_name="double", inputs=[tensor], raw_input_contents=[X.tobytes()])
    answer = in_json(client(rpc, **fields))
    _, told, _ = rest(server, path)
    assert as_texts(told) == as_texts(answer if part is None else answer[part])
