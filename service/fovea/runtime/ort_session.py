"""ONNX Runtime sessions: how one is opened, and what it says of its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from fovea.contract.errors import Misconfigured, ModelBroken
from fovea.contract.operators import DOMAIN
from fovea.runtime.device import CPU, CUDA_PROVIDER, Device, provider_list
from fovea.runtime.ort_errors import short_reason

DEVICE_ENTRY = "fovea.device"
"""Session configuration entry that tells the kernel library which device's kernels to register."""

_RECORD_NODES = "session.record_ep_graph_assignment_info"
_ONLY_FATAL = 4
onnxruntime.set_default_logger_severity(_ONLY_FATAL)  # else what a caller asks of an allocator is written past the log
_SPIN_US = 20


@dataclass(frozen=True)
class SessionSettings:
    """How a session is opened; everything but the file."""

    device: Device = CPU
    intra_op_threads: int = 1
    memory_limit_bytes: int | None = None
    """Most bytes of the CUDA arena; None: no limit."""
    kernel_library: Path | None = None
    allow_tf32: bool = False
    record_nodes: bool = False
    """Whether the session can tell its operators, as it can with a kernel library."""
    custom_op_libraries: tuple[Path, ...] = ()
    """Operators that the model needs beside ONNX Runtime's own and ours."""
    arena: bool = True
    """Whether memory is kept between runs."""
    shrink_arena: bool = False
    """Whether it is given back after each."""
    profile_prefix: Path | None = None
    """Where set, the session writes a profile to a file whose name starts so."""


def open_session(model: Path, settings: SessionSettings) -> onnxruntime.InferenceSession:
    """Load an ONNX file. ModelBroken says in one line why it cannot be; Misconfigured that a GPU cannot be had."""
    providers = provider_list(
        settings.device, allow_tf32=settings.allow_tf32, memory_limit_bytes=settings.memory_limit_bytes
    )
    try:
        session = onnxruntime.InferenceSession(str(model), _options(settings), providers=providers)
    except Exception as error:
        raise ModelBroken(f"{model.name}: {short_reason(error)}") from error
    if settings.device.kind == "cuda" and CUDA_PROVIDER not in session.get_providers():
        raise Misconfigured(f"ONNX Runtime could not use {settings.device} for {model.name}")
    return session


def _options(settings: SessionSettings) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.intra_op_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ONLY_FATAL  # errors are raised, and told once
    for entry, value in _waiting(settings).items():
        options.add_session_config_entry(entry, value)
    options.add_session_config_entry(DEVICE_ENTRY, settings.device.kind)
    options.enable_cpu_mem_arena = settings.arena
    for library in settings.custom_op_libraries:
        options.register_custom_ops_library(str(library))
    if settings.kernel_library is not None:
        options.register_custom_ops_library(str(settings.kernel_library))
    if settings.kernel_library is not None or settings.record_nodes:
        options.add_session_config_entry(_RECORD_NODES, "1")
    if settings.profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(settings.profile_prefix)
    return options


def _waiting(settings: SessionSettings) -> dict[str, str]:
    """How a run's threads wait for their next share: asleep, or first awake for a moment.

    Waking one takes 12 to 14 µs, which an operator of 100 µs feels. Awake for long, they would take the cores that
    gather the next batch and answer the last; and before 1.32 ONNX Runtime cannot be told how long.
    """
    if settings.intra_op_threads > 1 and _release(onnxruntime.__version__) >= (1, 32):
        return {"session.intra_op.allow_spinning": "1", "session.intra_op.spin_duration_us": str(_SPIN_US)}
    return {"session.intra_op.allow_spinning": "0"}


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def fused_operators(session: onnxruntime.InferenceSession) -> frozenset[str]:
    """The `ai.fovea` operators that kernels run in a session opened with a kernel library; bodies are inlined."""
    nodes = [node for part in session.get_provider_graph_assignment_info() for node in part.get_nodes()]
    return frozenset(node.op_type for node in nodes if node.domain == DOMAIN)
