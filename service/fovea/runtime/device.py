"""Which device runs the models, and what ONNX Runtime is told about it."""

from __future__ import annotations

import ctypes
import logging
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fovea.contract.errors import Misconfigured

logger = logging.getLogger(__name__)

CUDA_PROVIDER = "CUDAExecutionProvider"
CPU_PROVIDER = "CPUExecutionProvider"


@dataclass(frozen=True)
class Device:
    """Where sessions run. `index` counts CUDA devices and is 0 for the CPU."""

    kind: Literal["cpu", "cuda"]
    index: int = 0

    def __str__(self) -> str:
        return "cpu" if self.kind == "cpu" else f"cuda:{self.index}"


CPU = Device("cpu")


def resolve_device(text: str) -> Device:
    """The device meant by "auto", "cpu", "cuda" or "cuda:n".

    "auto" takes the first CUDA device that ONNX Runtime can really use, else the CPU. Raises Misconfigured for any
    other text and for a CUDA device that cannot be used: a server asked for a GPU never runs on the CPU in silence.
    """
    if text == "cpu":
        return CPU
    if text == "auto":
        return Device("cuda", 0) if cuda_obstacle(0) is None else CPU
    match = re.fullmatch(r"cuda(?::(\d+))?", text)
    if match is None:
        raise Misconfigured(f"device is auto, cpu, cuda or cuda:n, not {text!r}")
    index = int(match.group(1) or 0)
    if obstacle := cuda_obstacle(index):
        raise Misconfigured(f"device {text} cannot be used: {obstacle}")
    return Device("cuda", index)


@cache
def cuda_obstacle(index: int) -> str | None:
    """Why CUDA device `index` cannot run sessions here, in one line; None where it can."""
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        return "the installed onnxruntime has no CUDA support (onnxruntime-gpu has)"
    devices = _cuda_device_count()
    if index >= devices:
        return f"the NVIDIA driver reports {devices} device(s)"
    preload_libraries()
    try:
        onnxruntime.OrtValue.ortvalue_from_shape_and_type([1], np.float32, "cuda", index)
    except Exception as error:
        return str(error).strip().splitlines()[0]
    return None


def preload_libraries() -> None:
    """Load CUDA and cuDNN from their wheels, so that they need not be on the library path.

    What is missing is printed by ONNX Runtime: to standard error here, since standard output has the ready line.
    """
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        with redirect_stdout(sys.stderr):
            preload()


def _cuda_device_count() -> int:
    """Devices of the NVIDIA driver; 0 without a driver. Asks the driver itself: ONNX Runtime would log errors."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def provider_list(
    device: Device, *, allow_tf32: bool, memory_limit_bytes: int | None
) -> list[str | tuple[str, dict[str, str]]]:
    """Execution providers with their options, the preferred one first."""
    if device.kind == "cpu":
        return [CPU_PROVIDER]
    options = {
        "device_id": str(device.index),
        "use_tf32": "1" if allow_tf32 else "0",
        # Batches vary in size, and an exhaustive search would run again for every new shape.
        "cudnn_conv_algo_search": "HEURISTIC",
        # Doubling the arena would overshoot a limit that several models share.
        "arena_extend_strategy": "kSameAsRequested",
    }
    if memory_limit_bytes is not None:
        options["gpu_mem_limit"] = str(memory_limit_bytes)
    return [(CUDA_PROVIDER, options), CPU_PROVIDER]


def batch_buffer(shape: tuple[int, ...], dtype: np.dtype[Any], device: Device) -> NDArray[Any]:
    """An uninitialised array in host memory, page-locked for a GPU where ONNX Runtime offers that."""
    memory = _page_locked_memory(device.index) if device.kind == "cuda" and 0 not in shape else None
    if memory is None:
        return np.empty(shape, dtype)
    try:
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, dtype, memory_info=memory)
    except Exception:  # page-locked memory is scarce; ordinary memory gives the same answers, a little later
        return np.empty(shape, dtype)
    return array_over(value, shape, dtype)


@cache
def _page_locked_memory(index: int) -> Any | None:
    """Host memory that CUDA device `index` copies from directly; None, and one line in the log, where there is none.

    Only wheels that hold CUDA as a plug-in list its devices; onnxruntime-gpu 1.31 has it built in. Registering its
    library by hand would list them too, but no GPU has been at hand to show that this is safe.
    """
    cuda = [entry for entry in onnxruntime.get_ep_devices() if entry.ep_name == CUDA_PROVIDER]
    memory = cuda[index].memory_info(onnxruntime.OrtDeviceMemoryType.HOST_ACCESSIBLE) if index < len(cuda) else None
    if memory is None:
        logger.info("batches for cuda:%d are copied from pageable memory: this onnxruntime offers no other", index)
    return memory


def array_over(value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The memory of an OrtValue as a writable array, which keeps the OrtValue alive."""
    size = int(np.prod(shape)) * dtype.itemsize
    pages = (ctypes.c_byte * size).from_address(value.data_ptr())
    pages.owner = value  # type: ignore[attr-defined]
    return np.frombuffer(memoryview(pages), dtype).reshape(shape)
