"""Bodies become requests; what was read of one is kept, and never taken for what another says."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.fronts.rest.request_bodies import RequestBodies
from fovea.serving.requests.tensor_data import ExpectedInput

LIMITS = RestLimits(body_bytes=1 << 26, all_bodies_bytes=1 << 30, json_bytes=1 << 24, connections=8)
X = ExpectedInput("x", "FP32", (1, 2))


def body(data: list[float] | bytes | None, **facts: Any) -> tuple[bytes, int | None]:
    """A body, and its bytes of JSON where binary data follows it."""
    tensor: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 2], **facts.pop("tensor", {})}
    if isinstance(data, bytes):
        tensor["parameters"] = {"binary_data_size": len(data)}
    elif data is not None:
        tensor["data"] = data
    head = json.dumps({"inputs": [tensor], **facts}).encode()
    return (head + data, len(head)) if isinstance(data, bytes) else (head, None)


def said(bodies: RequestBodies, sent: tuple[bytes, int | None], model: str = "m") -> Any:
    """What a request asks for, and its first input's data."""
    try:
        request, style = bodies.request(model, "", *sent)
        one = request.data[0] if request.data else None
        values = one if one is None or isinstance(one, bytes) else one.array(X).tolist()
    except InvalidRequest as error:
        return str(error)
    header = request.header
    facts = (header.model, header.inputs, header.outputs, header.parameters, style.binary, style.by_default)
    return (*facts, request.id, request.has_values, values)


ONES, TWOS = np.ones(2, np.float32).tobytes(), np.full(2, 2, np.float32).tobytes()
BODIES = [
    body([1, 2]),
    body([3, 4]),
    body(None),
    body(ONES),
    body(TWOS),
    body([1, 2], id="a"),
    body([1, 2], id="b"),
    body(ONES, id="a"),
    body(TWOS, id="b"),
    body([True, 2]),
    body([[1, 2]]),
    body([[1], [2]]),
    body(ONES, outputs=[{"name": "y", "parameters": {"binary_data": True}}]),
    body(ONES, outputs=[{"name": "y", "parameters": {"binary_data": 1}}]),
    body([1, 2], outputs=[{"name": "y", "parameters": {"classification": 1}}]),
    body([1, 2], outputs=[{"name": "y", "parameters": {"classification": 1.0}}]),
    body([1, 2], parameters={"timeout": 2**70}),
    body([1, 2], tensor={"shape": [2, 1]}),
    body([1, 2], tensor={"parameters": {"binary_data_size": 8}}),
    body(None, tensor={"parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 8}}),
    (body(ONES)[0] + b"more", body(ONES)[1]),
    (body(ONES)[0][:-1], body(ONES)[1]),
    (body(ONES)[0], None),
    (b'{"inputs": null}', None),
    (b'{"inputs": 1e400}', None),
]


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_kept_of_a_body_changes_nothing_of_what_others_say(order: int) -> None:
    bodies = RequestBodies(LIMITS)
    for sent in [*BODIES[::order], *BODIES]:
        assert said(bodies, sent) == said(RequestBodies(LIMITS), sent)
        assert said(bodies, sent, "other") == said(RequestBodies(LIMITS), sent, "other")


@pytest.mark.parametrize("binary", [True, False])
def test_requests_that_differ_in_their_ids_and_data_share_a_header(binary: bool) -> None:
    bodies = RequestBodies(LIMITS)
    data: list[Any] = [ONES, TWOS] if binary else [[1, 2], [3, 4]]
    headers = {id(bodies.request("m", "", *body(one, **more))[0].header) for one in data for more in ({}, {"id": "a"})}
    assert len(headers) == 1


def test_a_caller_whose_bodies_are_large_and_never_the_same_fills_no_memory() -> None:
    bodies = RequestBodies(LIMITS)
    tracemalloc.start()
    for number in range(1000):
        bodies.request("m", "", *body(ONES, parameters={"mine": str(number).ljust(50_000)}))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 40 << 20
