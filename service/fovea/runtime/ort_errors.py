"""ONNX Runtime's error texts, cut down to what a reader needs."""

from __future__ import annotations

import re

from fovea.contract.errors import ExecutionFailed, InputRefused, OutOfMemory
from fovea.runtime.printable import printable

_PREFIX = re.compile(r"^(?:\[ONNXRuntimeError\] : \d+ : \w+ : |Error in execution: )")
"""Runs in bound buffers tell no code."""
_NOISE = re.compile(
    r"""\S*/onnxruntime/\S+:\d+\s              # source files of the build
    | Load\ model\ from\ .*?\ failed:(?=\S)    # the caller knows which file
    | \ resolved\ path:.*                       # folders of the server
    """,
    re.VERBOSE,
)
_NODE = re.compile(r"^Non-zero status code returned while running (\w+) node\. Name:'.*?' Status Message: ?")
_CODE = re.compile(
    r"""^[^()]*onnxruntime::[^()]*\([^()]*\)(?:\ const)?(?:\ \[with\ [^]]*\])?\ ?  # the function that found it
    | ^\w+\.(?:cc|h):\d+\ \w+\ ?                                                 # or its file, line and name
    | ^\[ONNXRuntimeError\]\ :\ \d+\ :\ \w+\ :\ ?                                # the code, a second time
    | ^[^.]*\ was\ false\.\ (?=\S)                                               # and the condition
    """,
    re.VERBOSE,
)
_BY_INPUT = re.compile(
    r"""^\[ONNXRuntimeError\]\ :\ 2\ :\ INVALID_ARGUMENT
    | ^(?:\[ONNXRuntimeError\]\ :\ (?:1|6)\ :\ \w+\ :|Error\ in\ execution:)\ Non-zero\ status\ code\ returned\ while
    """,
    re.VERBOSE,
)
"""How operators tell of values and sizes that they cannot take. Other things are told so too:"""
_BY_DEVICE = re.compile(
    r"(?:CUDA|CUDNN|CUBLAS|CUFFT)\w*[ _](?:failure|error)|cuda\w*Error|illegal memory access|terminate flag",
    re.IGNORECASE,
)
_BY_KERNEL = re.compile(r"^(?!\[ONNXRuntimeError\] : 2 ).*ai\.fovea::", re.DOTALL)
"""A kernel of ours that refuses its input says INVALID_ARGUMENT; what else it says is its own failure."""
_MEMORY = re.compile(r"bad[_ ]alloc|out[_ ]of[_ ]memory|failed to allocate|MemoryError", re.IGNORECASE)
"""In the words of C++, of ONNX Runtime's arena, of CUDA and of Python."""
_LONGEST = 300


def short_reason(error: BaseException) -> str:
    """The error in one line, without status codes, source files of ONNX Runtime's build and folders of this server."""
    return printable(_without_noise(error), _LONGEST)


def _without_noise(error: BaseException) -> str:
    return _NOISE.sub("", _PREFIX.sub("", " ".join(str(error).split()) or type(error).__name__))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, on the device or beside it. Only the text tells it of most errors."""
    return isinstance(error, MemoryError | OutOfMemory) or _MEMORY.search(str(error)) is not None


def failure(error: BaseException) -> ExecutionFailed:
    """What a run that failed is told as: OutOfMemory, or InputRefused where its input may be why, or neither.

    Whether its input is why, only a session knows that has run: an operator of a broken model complains the same way.
    """
    if is_out_of_memory(error):
        return OutOfMemory(f"too little memory for this request: {_plain_reason(error)}")
    if _is_by_input(str(error)):
        return InputRefused(f"the model cannot run on this input: {_plain_reason(error)}")
    return ExecutionFailed(_plain_reason(error))


def _is_by_input(text: str) -> bool:
    return bool(_BY_INPUT.match(text)) and not (_BY_DEVICE.search(text) or _BY_KERNEL.match(text))


def _plain_reason(error: BaseException) -> str:
    """The operator and what it complains of, without where in ONNX Runtime it does so."""
    text = _without_noise(error)
    node = _NODE.match(text)
    if node is None:
        return short_reason(error)
    complaint = text[node.end() :]
    while (code := _CODE.match(complaint)) and code.end():
        complaint = complaint[code.end() :]
    return printable(f"{node[1]}: {complaint or 'it failed'}", _LONGEST)
