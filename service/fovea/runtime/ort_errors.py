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
_MEMORY = re.compile(r"bad[_ ]alloc|out[_ ]of[_ ]memory|failed to allocate|MemoryError", re.IGNORECASE)
"""In the words of C++, of ONNX Runtime's arena, of CUDA and of Python."""
_LONGEST = 300


def short_reason(error: BaseException) -> str:
    """The error in one line, without status codes, source files of ONNX Runtime's build and folders of this server."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = tellable(_NOISE.sub("", _PREFIX.sub("", text)))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, on the device or beside it. Only the text tells it of most errors."""
    return isinstance(error, MemoryError | OutOfMemory) or _MEMORY.search(str(error)) is not None


def failure(error: BaseException) -> ExecutionFailed:
    """What a run that failed is told as; OutOfMemory where there was too little of it."""
    if is_out_of_memory(error):
        return OutOfMemory(f"too little memory for this request: {short_reason(error)}")
    return ExecutionFailed(short_reason(error))
