"""The device is the one asked for, or a clear refusal."""

import logging

import numpy as np
import pytest

from fovea.contract.errors import Misconfigured
from fovea.runtime.device import CPU, Device, batch_buffer, cuda_obstacle, provider_list, resolve_device

HAS_CUDA = cuda_obstacle(0) is None


def test_cpu_is_cpu():
    assert resolve_device("cpu") == CPU
    assert str(CPU) == "cpu"


def test_auto_takes_cuda_only_where_it_can_be_used():
    assert resolve_device("auto") == (Device("cuda", 0) if HAS_CUDA else CPU)


@pytest.mark.skipif(HAS_CUDA, reason="this machine has a GPU")
@pytest.mark.parametrize("text", ["cuda", "cuda:0", "cuda:7"])
def test_cuda_where_there_is_none_is_refused_in_one_line(text):
    with pytest.raises(Misconfigured, match=f"device {text} cannot be used") as refusal:
        resolve_device(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"])
def test_unknown_device_is_refused(text):
    with pytest.raises(Misconfigured, match="auto, cpu, cuda or cuda:n"):
        resolve_device(text)


def test_cpu_needs_no_options():
    assert provider_list(CPU, allow_tf32=True, memory_limit_bytes=1) == ["CPUExecutionProvider"]


def test_cuda_is_opened_as_a_gpu_user_wants_it():
    (provider, options), fallback = provider_list(Device("cuda", 1), allow_tf32=False, memory_limit_bytes=2**30)
    assert (provider, fallback) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options == {
        "device_id": "1",
        "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "gpu_mem_limit": str(2**30),
    }


def test_tf32_is_allowed_by_the_card_alone_and_memory_is_unlimited_by_default():
    (_, options), _ = provider_list(Device("cuda"), allow_tf32=True, memory_limit_bytes=None)
    assert options["use_tf32"] == "1"
    assert "gpu_mem_limit" not in options


@pytest.mark.skipif(HAS_CUDA, reason="this machine has a GPU")
def test_a_gpu_that_copies_from_ordinary_memory_is_told_once(caplog):
    caplog.set_level(logging.INFO, "fovea")
    buffers = [batch_buffer((2, 3), np.dtype(np.float32), Device("cuda", 5)) for _ in range(2)]
    assert [buffer.shape for buffer in buffers] == [(2, 3)] * 2
    assert [record.message for record in caplog.records] == [
        "batches for cuda:5 are copied from pageable memory: this onnxruntime offers no other"
    ]
