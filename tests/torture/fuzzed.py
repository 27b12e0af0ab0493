"""The messages of the fuzz: each is made from the seed and its number alone, so that any can be made again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from tests.torture.mutation import Mutator
from tests.torture.right_requests import INFER, REGION_KEY, nearly_right

from fovea import wire

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
    *("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size", "r", REGION_KEY),
    *("triton_enable_empty_final_response", "triton_final_response"),
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
    others = [method for method in methods if method.name not in INFER + _LOADS]
    infer, loads = ([method for method in methods if method.name in names] for names in (INFER, _LOADS))
    return infer, loads, others


def _message(method: Any, random: Random, make: Mutator) -> bytes:
    message = wire.message(method.input_type.name)()
    right = nearly_right(method.name)
    if right and random.random() < 0.8:
        message.MergeFromString(random.choice(right))
    else:
        make.fill(message)
    if random.random() < 0.7:
        make.spoil(message)
    data = bytes(message.SerializeToString(deterministic=True))  # maps have an order of their own in each process
    return make.spoil_bytes(data) if random.random() < 0.3 else data
