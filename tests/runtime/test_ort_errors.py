"""What a run that failed is told as."""

from __future__ import annotations

import pytest

from fovea.contract.errors import ExecutionFailed, InputRefused, OutOfMemory
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


FAIL, INVALID, RAISED = (
    f"[ONNXRuntimeError] : {code} : " for code in ("1 : FAIL", "2 : INVALID_ARGUMENT", "6 : RUNTIME_EXCEPTION")
)
BOUND = "Error in execution: "
NODE = "Non-zero status code returned while running {} node. Name:'/a/b' Status Message: "
SOURCE = "/onnxruntime_src/onnxruntime/core/"
BY_INPUT = {
    INVALID + NODE.format("Gather") + "indices element out of data bounds, idx=9 must be within [-3,2]":
        "Gather: indices element out of data bounds, idx=9 must be within [-3,2]",
    FAIL + NODE.format("Reshape") + SOURCE + "providers/cpu/tensor/reshape_helper.h:91 onnxruntime::ReshapeHelper::"
        "ReshapeHelper(const onnxruntime::TensorShape&, bool) input_shape_size == requested_shape_size was false. "
        "The input tensor cannot be reshaped. Input shape:{10,2}, requested shape:{7,3}\n":
        "Reshape: The input tensor cannot be reshaped. Input shape:{10,2}, requested shape:{7,3}",
    FAIL + NODE.format("GatherElements") + SOURCE + "providers/cpu/tensor/gather_elements.cc:150 void onnxruntime::"
        "core_impl(const Tensor*, int64_t) [with Tin = long int; T = long int] Out of range value in index tensor":
        "GatherElements: Out of range value in index tensor",
    FAIL + NODE.format("Pad") + SOURCE + "framework/op_kernel.cc:87 virtual OrtValue* onnxruntime::OpKernelContext::"
        "OutputMLValue(int, const onnxruntime::TensorShape&) " + FAIL + "tensor.cc:57 CalculateTensorStorageSize "
        "Tensor shape.Size() must be >= 0": "Pad: Tensor shape.Size() must be >= 0",
    FAIL + NODE.format("MatMul") + "matmul_helper.h:59 Compute MatMul dimension mismatch":
        "MatMul: MatMul dimension mismatch",
    RAISED + NODE.format("ArgMax"): "ArgMax: it failed",
    BOUND + NODE.format("GatherND") + "invalid index found, index = 100": "GatherND: invalid index found, index = 100",
    INVALID + NODE.format("SimAM") + "ai.fovea::SimAM: expected four axes":
        "SimAM: ai.fovea::SimAM: expected four axes",
}  # fmt: skip


@pytest.mark.parametrize("text", BY_INPUT)
def test_what_an_operator_says_of_its_input_is_told_without_where_in_onnx_runtime_it_does(text: str) -> None:
    told = failure(RuntimeError(text))
    assert type(told) is InputRefused
    assert str(told) == f"the model cannot run on this input: {BY_INPUT[text]}"


@pytest.mark.parametrize(
    "text",
    [
        FAIL + NODE.format("Conv") + "CUDA failure 700: an illegal memory access was encountered ; GPU=0",
        FAIL + NODE.format("Conv") + "CUDNN_FE failure 11: CUDNN_BACKEND_API_FAILED",
        FAIL + NODE.format("Gemm") + "CUBLAS failure 14: CUBLAS_STATUS_INTERNAL_ERROR",
        FAIL + NODE.format("SimAM") + "ai.fovea::SimAM: the launch failed",
        BOUND + NODE.format("SimAM") + "ai.fovea::SimAM: it failed",
        FAIL + "Exiting due to terminate flag being set to true.",
        "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation",
        "[ONNXRuntimeError] : 11 : EP_FAIL : the device is lost",
        "'utf-8' codec can't decode byte 0xff",
    ],
)
def test_any_other_failure_is_the_models_or_the_devices(text: str) -> None:
    told = failure(RuntimeError(text))
    assert type(told) is ExecutionFailed
    assert not is_out_of_memory(told)
