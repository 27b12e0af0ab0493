"""Headers that have passed are kept, so that they need no second look; in bytes they are bounded."""

from __future__ import annotations

import tracemalloc

import numpy as np

from fovea import wire
from fovea.contract.attention import AttentionType
from fovea.contract.model_card import ModelCard, TensorSpec
from fovea.serving.messages.codec import Door
from fovea.serving.messages.request_parameters import RequestDefaults
from fovea.serving.shared_memory.regions import Regions

SPEC = {"datatype": "FP32", "shape": (-1, 4)}
CARD = ModelCard(
    name="m",
    attention=AttentionType.NONE,
    inputs=(TensorSpec(name="x", **SPEC),),
    outputs=(TensorSpec(name="y", **SPEC),),
    batched=True,
    parameters=0,
    opset=21,
)
LARGE_BYTES, REQUESTS, MOST_BYTES = 50_000, 200, 8 << 20


def test_a_caller_whose_headers_are_large_and_never_the_same_fills_no_memory() -> None:
    door, regions = Door(CARD, 1, 8, RequestDefaults()), Regions()
    row = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
    tracemalloc.start()
    for number in range(REQUESTS):
        parameter = {"mine": {"string_param": f"{number}".ljust(LARGE_BYTES)}}
        request = wire.message("ModelInferRequest")(
            model_name="m", inputs=[row], parameters=parameter, raw_input_contents=[bytes(16)]
        )
        assert np.array_equal(door.decode(request, regions).inputs["x"], np.zeros((1, 4), np.float32))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < MOST_BYTES < LARGE_BYTES * REQUESTS
