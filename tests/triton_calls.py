"""Requests of Triton's gRPC client, from arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

Arrays = Mapping[str, np.ndarray]


def inputs(arrays: Arrays) -> list[triton.InferInput]:
    made = []
    for name, array in arrays.items():
        made.append(triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
        made[-1].set_data_from_numpy(array)
    return made


def in_flight_together(
    client: Any, model: str, requests: Sequence[Arrays], outputs: Sequence[str] = ()
) -> list[triton.InferResult]:
    """All at once, so that they wait for each other and are batched; the answers in the order of the requests."""
    done: SimpleQueue[tuple[int, triton.InferResult, object]] = SimpleQueue()
    wanted = [triton.InferRequestedOutput(name) for name in outputs] or None
    for place, request in enumerate(requests):
        keep = partial(lambda place, result, error: done.put((place, result, error)), place)
        client.async_infer(model, inputs(request), callback=keep, outputs=wanted)
    found = sorted((done.get(timeout=60) for _ in requests), key=lambda one: one[0])
    assert [str(error) for *_, error in found if error is not None] == []
    return [result for _, result, _ in found]
