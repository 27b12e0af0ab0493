"""ONNX Runtime's error texts, cut down to what a reader needs."""

from __future__ import annotations

import re

from fovea.contract.errors import ExecutionFailed, OutOfMemory
from fovea.runtime.reasons import tellable

_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_NOISE = re.compile(
    r"""\S*/onnxruntime/\S+:\d+\s              # source files of the build
    | Load\ model\ from\ .*?\ failed:(?=\S)    # the caller knows which file
    | \ resolved\ path:.*                       # folders of the server
    """,
    re.VERBOSE,
)
_MEMORY = re.compile(r"bad_alloc|out of memory|[Ff]ailed to allocate|CUDA_ERROR_OUT_OF_MEMORY|MemoryError")
_LONGEST = 300


def short_reason(error: BaseException) -> str:
    """The error in one line, without status codes, source files of ONNX Runtime's build and folders of this server."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = tellable(_NOISE.sub("", _PREFIX.sub("", text)))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def failure(error: BaseException) -> ExecutionFailed:
    """What a run that failed is told as; OutOfMemory where there was too little of it, on the device or beside it."""
    if isinstance(error, MemoryError) or _MEMORY.search(str(error)):
        return OutOfMemory(f"too little memory for this request: {short_reason(error)}")
    return ExecutionFailed(short_reason(error))
