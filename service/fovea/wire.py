"""The messages of the Open Inference Protocol, in a descriptor pool of their own.

`tritonclient` and `kserve` register the names `inference.*` in protobuf's default pool, and a second module that did
so could not be imported beside them. The descriptors are compiled from `protos/` when the package is built.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = "inference.GRPCInferenceService"
_DESCRIPTORS = "inference.binpb"


def _load_pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    data = resources.files("fovea").joinpath(_DESCRIPTORS).read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.Add(file)
    return pool


POOL = _load_pool()
METHODS: tuple[str, ...] = tuple(POOL.FindServiceByName(SERVICE).methods_by_name)
"""Names of the service's RPCs. All are unary but ModelStreamInfer."""


@cache
def message(name: str) -> Any:
    """The message class of a name in the package, e.g. "ModelInferRequest"; KeyError where there is none."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


@cache
def enum_name(enum: str, number: int) -> str:
    """The name of an enum's value, e.g. TYPE_FP32 of DataType's 11. KeyError where there is none of that number."""
    return str(POOL.FindEnumTypeByName(f"{PACKAGE}.{enum}").values_by_number[number].name)


def path(method: str) -> str:
    """The HTTP/2 path of an RPC."""
    return f"/{SERVICE}/{method}"


@lru_cache(1024)
def length_mark(tag: bytes, size: int) -> bytes:
    """What stands before `size` bytes of a field in a serialized message: its tag, and the size as a varint."""
    count = bytearray()
    while size >= 0x80:
        count.append(size & 0x7F | 0x80)
        size >>= 7
    count.append(size)
    return tag + bytes(count)
