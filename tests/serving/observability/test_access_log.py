"""The access log: a line for every request, when it has ended."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from servers import plain_models, running_server


def test_the_access_log_has_a_line_for_every_request_that_reached_a_model_or_none(tmp_path: Path) -> None:
    with running_server(plain_models(tmp_path), "--access-log") as server:
        with triton.InferenceServerClient(server.grpc) as client:
            tensor = triton.InferInput("x", [1, 4], "FP32")
            tensor.set_data_from_numpy(np.ones((1, 4), np.float32))
            client.infer("double", [tensor], request_id="first")
            with pytest.raises(InferenceServerException):
                client.infer("nobody", [tensor], request_id="second")
        server.terminate()
    lines = [json.loads(line) for line in server.errors if "access_log" in line]
    told = [(one["request_id"], one["model"], one["outcome"], one["rpc.response.status_code"]) for one in lines]
    assert told == [("first", "double", "ok", "OK"), ("second", "nobody", "invalid", "NOT_FOUND")]
    assert all(0 < one["duration_ms"] < 60_000 for one in lines)
