"""The messages of the fuzz: each is made from the seed and its number alone, so that any can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import numpy as np
from tests.bad_requests import BAD_REQUESTS
from tests.torture.mutation import Mutator

from fovea import wire

_INFER = ("ModelInfer", "ModelStreamInfer")
_INFER_SHARE = 0.7
_STREAM_SHARE = 0.2
"""Of inference."""
_LOAD_SHARE = 0.01
"""Of the messages that are no inference: a load takes milliseconds, and they come one after another."""
_LOADS = ("RepositoryModelLoad", "RepositoryModelUnload")
_MODELS = (
    "double",
    "pair",
    "texts",
    "integers",
    "integers8",
    "half",
    "single",
    "any_length",
    "fashion-cbam",
    "damaged",
)
WORDS = (
    *_MODELS,
    *("BOOL", "UINT8", "INT8", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64", "BYTES", "fp32"),
    *("x", "b", "y", "input", "logits", "attention.blocks.2.attention.map"),
    *("classification", "timeout", "priority", "sequence_id", "sequence_start", "binary_data", "binary_data_size"),
    *("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size", "triton_final_response"),
    *("config", "file:1/model.onnx", "file:../../evil", "unload_dependents", '{"max_batch_size": 4}', "{"),
    *("trace_level", "trace_rate", "trace_file", "log_file", "log_verbose_level", "TIMESTAMPS", "/etc/passwd"),
    *("", "0", "1", "-1", "2", "99999999999999999999", " ", "\0", "../..", "名前", "\n", "é" * 300, "a" * 5000),
)


@dataclass(frozen=True)
class Fuzzed:
    """One call: an RPC, and its messages (several, where it takes a stream)."""

    rpc: str
    streams: bool
    messages: tuple[bytes, ...]


def fuzzed(seed: int, number: int) -> Fuzzed:
    """The call of that number."""
    random = Random(f"{seed}/{number}")
    method = _method(random)
    count = random.randint(1, 4) if method.client_streaming else 1
    make = Mutator(random, WORDS)
    messages = tuple(_message(method, random, make) for _ in range(count))
    return Fuzzed(method.name, method.client_streaming, messages)


def _method(random: Random) -> Any:
    infer, loads, others = _methods()
    if random.random() < _INFER_SHARE:
        return infer[random.random() < _STREAM_SHARE]
    return random.choice(loads if random.random() < _LOAD_SHARE else others)


@cache
def _methods() -> tuple[list[Any], list[Any], list[Any]]:
    methods = wire.POOL.FindServiceByName(wire.SERVICE).methods
    others = [method for method in methods if method.name not in _INFER + _LOADS]
    infer, loads = ([method for method in methods if method.name in names] for names in (_INFER, _LOADS))
    return infer, loads, others


def _message(method: Any, random: Random, make: Mutator) -> bytes:
    message = wire.message(method.input_type.name)()
    if method.name in _INFER and random.random() < 0.9:
        message.MergeFromString(random.choice(_good_and_bad_requests()))
    else:
        make.fill(message)
    if random.random() < 0.7:
        make.spoil(message)
    data = bytes(message.SerializeToString())
    return make.spoil_bytes(data) if random.random() < 0.3 else data


@cache
def _good_and_bad_requests() -> tuple[bytes, ...]:
    """Right requests for every model, and the mistakes that the protocol's table names."""
    fields = [*_right_requests(), *(case[0] for case in BAD_REQUESTS.values())]
    return tuple(bytes(wire.message("ModelInferRequest")(**each).SerializeToString()) for each in fields)


def _right_requests() -> list[Mapping[str, Any]]:
    row = np.arange(4, dtype=np.float32)
    pair = {"x": ((1, 4), "FP32", row), "b": ((1, 4), "FP32", row)}
    picture = np.zeros((1, 1, 28, 28), np.float32)
    wanted = [{"name": "logits", "parameters": {"classification": {"int64_param": 3}}}]
    maps = [{"name": "attention.blocks.2.attention.map"}]
    return [
        *[_raw("double", {"x": ((1, 4), "FP32", row)})] * 4,
        _typed("double", (1, 4), "FP32", fp32_contents=row),
        _raw("pair", pair),
        _typed("texts", (1, 2), "BYTES", bytes_contents=[b"a", b"\xff"]),
        _raw("integers", {"x": ((1, 2), "INT32", np.ones(2, np.int32))}),
        _typed("integers8", (1, 2), "INT8", int_contents=[1, -1]),
        _raw("half", {"x": ((1, 2), "FP16", np.ones(2, np.float16))}),
        _raw("single", {"x": ((3,), "FP32", row[:3])}),
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


def _typed(model: str, shape: tuple[int, ...], kind: str, name: str = "x", **contents: Any) -> dict[str, Any]:
    return {"model_name": model, "inputs": [{"name": name, "shape": shape, "datatype": kind, "contents": contents}]}


_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c636000000002000148afa471"
    "0000000049454e44ae426082"
)
"""One pixel: cut, flipped and repeated like everything else."""
