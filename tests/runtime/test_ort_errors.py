"""What a run that failed is told as."""

from __future__ import annotations

import pytest

from fovea.contract.errors import ExecutionFailed, OutOfMemory
from fovea.runtime.ort_errors import failure, is_out_of_memory

MEMORY_TEXTS = [
    "std::bad_alloc",
    "bad allocation",
    "Failed to allocate memory for requested buffer of size 99",
    "failed to allocate 99 bytes",
    "CUDA failure 2: out of memory",
    "Available memory of 7 is smaller: Out of memory",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 9 GiB",
]
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


@pytest.mark.parametrize("text", MEMORY_TEXTS)
def test_too_little_memory_is_known_by_its_words(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))


@pytest.mark.parametrize("error", [MemoryError(), OutOfMemory("too little"), failure(MemoryError("x" * 999))])
def test_too_little_memory_is_known_by_its_type(error: BaseException) -> None:
    assert is_out_of_memory(error)


def test_any_other_failure_is_the_models() -> None:
    told = failure(RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Gather: indices element out of bounds"))
    assert type(told) is ExecutionFailed
    assert not is_out_of_memory(told)
    assert str(told) == "Gather: indices element out of bounds"
