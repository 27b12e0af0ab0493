"""Headers that are known need no second look; in bytes, what is kept of them is bounded."""

from __future__ import annotations

import tracemalloc

from fovea import wire
from fovea.serving.fronts.grpc.infer_requests import RequestReader

LARGE_BYTES, REQUESTS, MOST_BYTES = 200_000, 200, 20 << 20


def test_a_caller_whose_headers_are_large_and_never_the_same_fills_no_memory() -> None:
    read = RequestReader(lambda: 1 << 20)
    row = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
    tracemalloc.start()
    for number in range(REQUESTS):
        parameter = {"mine": {"string_param": f"{number}".ljust(LARGE_BYTES)}}
        request = wire.message("ModelInferRequest")(
            model_name="m", inputs=[row], parameters=parameter, raw_input_contents=[bytes(16)]
        )
        assert read(request.SerializeToString()).data == [bytes(16)]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < MOST_BYTES < LARGE_BYTES * REQUESTS
