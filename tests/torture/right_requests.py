"""Requests that are right, for each RPC and for every model: what the fuzz begins from. And the table's mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tests.bad_requests import BAD_REQUESTS

from fovea import wire

INFER = ("ModelInfer", "ModelStreamInfer")
REGION_KEY = "/fovea-torture"
_REGION_BYTES = 4096
_ONE_MODEL = [{"name": "double"}, {"name": "fashion-cbam", "version": "1"}]
_CONTROL: dict[str, list[dict[str, Any]]] = {
    "ModelReady": _ONE_MODEL,
    "ModelMetadata": _ONE_MODEL,
    "ModelConfig": _ONE_MODEL,
    "ModelStatistics": [*_ONE_MODEL, {}],
    "RepositoryModelLoad": [
        {"model_name": "double"},
        {"model_name": "double", "parameters": {"config": {"string_param": '{"max_batch_size": 4}'}}},
    ],
    "RepositoryModelUnload": [{"model_name": "double"}],
    "SystemSharedMemoryRegister": [{"name": "r", "key": REGION_KEY, "byte_size": _REGION_BYTES}],
    "SystemSharedMemoryStatus": [{}, {"name": "r"}],
    "SystemSharedMemoryUnregister": [{"name": "r"}],
    "TraceSetting": [{"settings": {"trace_level": {"value": ["TIMESTAMPS"]}, "trace_rate": {"value": ["100"]}}}],
    "LogSettings": [{"settings": {"log_verbose_level": {"uint32_param": 1}}}],
}


@cache
def nearly_right(rpc: str) -> tuple[bytes, ...]:
    """Serialized requests of an RPC; none of one whose requests are empty."""
    if rpc in INFER:
        return _serialized("ModelInfer", [*_right_requests(), *(case[0] for case in BAD_REQUESTS.values())])
    return _serialized(rpc, _CONTROL.get(rpc, []))


def _serialized(rpc: str, requests: list[Any]) -> tuple[bytes, ...]:
    return tuple(bytes(wire.message(f"{rpc}Request")(**fields).SerializeToString()) for fields in requests)


@contextmanager
def shared_region() -> Iterator[None]:
    """The shared memory that some of the requests name."""
    region = Path("/dev/shm" + REGION_KEY)
    region.write_bytes(bytes(_REGION_BYTES))
    try:
        yield
    finally:
        region.unlink(missing_ok=True)


def _right_requests() -> list[Mapping[str, Any]]:
    row = np.arange(4, dtype=np.float32)
    pair = {"x": ((1, 4), "FP32", row), "b": ((1, 4), "FP32", row)}
    picture = np.zeros((1, 1, 28, 28), np.float32)
    wanted = [{"name": "logits", "parameters": {"classification": {"int64_param": 3}}}]
    probabilities = [{"name": "probabilities", "parameters": wanted[0]["parameters"]}]
    maps = [{"name": "attention.blocks.2.attention.map"}]
    return [
        *[_raw("double", {"x": ((1, 4), "FP32", row)})] * 4,
        _typed("double", (1, 4), "FP32", fp32_contents=row),
        {"model_name": "double", "inputs": [_shared("x", 0)], "outputs": [_shared("y", 1024)]},
        _raw("pair", pair),
        _typed("texts", (1, 2), "BYTES", bytes_contents=[b"a", b"\xff"]),
        _raw("integers", {"x": ((1, 2), "INT32", np.ones(2, np.int32))}),
        _typed("integers8", (1, 2), "INT8", int_contents=[1, -1]),
        _raw("half", {"x": ((1, 2), "FP16", np.ones(2, np.float16))}),
        _raw("single", {"x": ((3,), "FP32", row[:3])}),
        _raw("classifier", {"x": ((1, 3), "FP32", row[:3])}) | {"outputs": probabilities},
        _raw("optional", {"x": ((1, 3), "FP32", row[:3])}),
        _raw("optional", {"x": ((1, 3), "FP32", row[:3]), "o": ((1, 3), "FP32", row[:3])}),
        _raw("reshaped", {"x": ((1, 4), "FP32", row)}),
        _raw("any_length", {"x": ((2, 5), "FP32", np.ones((2, 5), np.float32))}),
        _raw("fashion-cbam", {"input": (picture.shape, "FP32", picture)}) | {"outputs": wanted},
        _raw("fashion-cbam", {"input": (picture.shape, "FP32", picture)}) | {"outputs": maps},
        _typed("fashion-cbam", (1, 1), "BYTES", "input", bytes_contents=[_PNG]),
    ]


def _raw(model: str, inputs: Mapping[str, tuple[tuple[int, ...], str, Any]]) -> dict[str, Any]:
    tensors = [{"name": name, "shape": shape, "datatype": kind} for name, (shape, kind, _) in inputs.items()]
    return {
        "model_name": model,
        "inputs": tensors,
        "raw_input_contents": [data.tobytes() for *_, data in inputs.values()],
    }


def _shared(name: str, offset: int) -> dict[str, Any]:
    """A tensor of one row, in shared memory."""
    place = {"shared_memory_region": {"string_param": "r"}}
    place |= {"shared_memory_offset": {"int64_param": offset}, "shared_memory_byte_size": {"int64_param": 16}}
    facts = {"shape": (1, 4), "datatype": "FP32"} if name == "x" else {}
    return {"name": name, "parameters": place, **facts}


def _typed(model: str, shape: tuple[int, ...], kind: str, name: str = "x", **contents: Any) -> dict[str, Any]:
    return {"model_name": model, "inputs": [{"name": name, "shape": shape, "datatype": kind, "contents": contents}]}


_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c636000000002000148afa471"
    "0000000049454e44ae426082"
)
"""One pixel: cut, flipped and repeated like everything else."""
