"""What a run that failed is told as."""

from __future__ import annotations

import pytest

from fovea.contract.errors import ExecutionFailed, OutOfMemory
from fovea.runtime.ort_errors import failure

CPU = "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running MatMul. std::bad_alloc"
CUDA = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 "
    "void* onnxruntime::BFCArena::AllocateRawInternal(size_t) Failed to allocate memory for requested buffer of size 99"
)


@pytest.mark.parametrize("error", [RuntimeError(CPU), RuntimeError(CUDA), MemoryError("unable to allocate 9 GiB")])
def test_too_little_memory_is_told_as_that(error: BaseException) -> None:
    told = failure(error)
    assert type(told) is OutOfMemory
    assert str(told).startswith("too little memory for this request: ")


def test_any_other_failure_is_the_models() -> None:
    told = failure(RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Gather: indices element out of bounds"))
    assert type(told) is ExecutionFailed
    assert str(told) == "Gather: indices element out of bounds"
