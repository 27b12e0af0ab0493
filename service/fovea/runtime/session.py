"""ONNX Runtime sessions: how one is opened, what it says of its tensors, and how batches run in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from fovea.contract.errors import Misconfigured, ModelBroken
from fovea.contract.model_card import TensorSpec
from fovea.contract.operators import DOMAIN
from fovea.contract.sequence import SequenceSpec
from fovea.runtime.buffers import BoundBuffers, can_be_bound
from fovea.runtime.datatypes import DATATYPE_OF_ORT
from fovea.runtime.device import CPU, CUDA_PROVIDER, Device, provider_list
from fovea.runtime.ort_errors import short_reason
from fovea.runtime.padding import PaddedRunner, Padding
from fovea.runtime.runners import BoundRunner, FreeRunner, Runner
from fovea.runtime.tally import Tally

DEVICE_ENTRY = "fovea.device"
"""Session configuration entry that tells the kernel library which device's kernels to register."""

_RECORD_NODES = "session.record_ep_graph_assignment_info"
_ONLY_FATAL = 4
_SPIN_US = 20


@dataclass(frozen=True)
class SessionSettings:
    """How a session is opened; everything but the file."""

    device: Device = CPU
    intra_op_threads: int = 1
    memory_limit_bytes: int | None = None
    """Of the CUDA arena."""
    kernel_library: Path | None = None
    allow_tf32: bool = False
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
    if settings.kernel_library is not None:
        options.register_custom_ops_library(str(settings.kernel_library))
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


def _run_options() -> onnxruntime.RunOptions:
    """For runs that can be ended, of graph 0, the default.

    Where that is left unsaid, ONNX Runtime 1.32 finds it out by an exception in every run with bound buffers: 29 µs on
    top of 2.
    """
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", "0")
    return options


def fused_operators(session: onnxruntime.InferenceSession) -> frozenset[str]:
    """The `ai.fovea` operators that kernels run in a session opened with a kernel library; bodies are inlined."""
    nodes = [node for part in session.get_provider_graph_assignment_info() for node in part.get_nodes()]
    return frozenset(node.op_type for node in nodes if node.domain == DOMAIN)


def specs(session: onnxruntime.InferenceSession) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a session; ModelBroken where one is no tensor that can be served."""
    inputs = tuple(_spec(tensor) for tensor in session.get_inputs())
    outputs = tuple(_spec(tensor) for tensor in session.get_outputs())
    if not inputs or not outputs:
        raise ModelBroken("a model needs at least one input and one output")
    return inputs, outputs


def _spec(tensor: Any) -> TensorSpec:
    datatype = DATATYPE_OF_ORT.get(tensor.type)
    if datatype is None:
        raise ModelBroken(f"{tensor.name} is a {tensor.type}, which cannot be served")
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in tensor.shape)
    return TensorSpec.model_validate({"name": tensor.name, "datatype": datatype, "shape": shape})


class ModelSession:
    """One session and the buffers of the batch in it. Used by one thread at a time."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        batched: bool,
        max_batch_rows: int,
        device: Device,
        fused: frozenset[str] = frozenset(),
        tally: Tally | None = None,
        sequence: SequenceSpec | None = None,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.batched = batched
        self.max_batch_rows = max_batch_rows if batched else 1
        self.device = device
        self.fused_operators = fused
        self.tallied_operators = fused if tally else frozenset[str]()
        self.attention_s: Mapping[str, float] = {}
        """Seconds inside each fused operator in the last run, where the kernels keep a tally."""
        self._tally = tally
        self.providers: tuple[str, ...] = tuple(session.get_providers())
        self.padding = Padding(sequence, inputs, to_buckets=device.kind != "cpu") if sequence else None
        """How sequences are laid side by side, for a model that takes some."""
        self.made_input = sequence.mask if sequence else None
        """An input that a request may leave out."""
        self._run_options = _run_options()
        self._runner = self._make_runner(session)

    def _make_runner(self, session: onnxruntime.InferenceSession) -> Runner:
        inputs, outputs, rows = self.inputs, self.outputs, self.max_batch_rows
        if self.padding is not None:
            return PaddedRunner(session, inputs, outputs, self.padding, rows, self.device)
        if self.batched and can_be_bound([*inputs, *outputs], rows):
            return BoundRunner(BoundBuffers(session, inputs, outputs, rows, self.device), inputs[0].name)
        return FreeRunner(session, inputs, outputs, self.batched)

    @property
    def padding_ratio(self) -> float:
        """The share of the gathered batch that is padding."""
        return self._runner.padding_ratio

    def gather(self, requests: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        """Copy the rows of all requests together; each request has every input, of the card's dtype and shape; a
        sequence's mask may be missing, and sequences may differ in length within a bucket.

        InvalidRequest where they are more than `max_batch_rows`; a model that does not batch takes exactly one request.
        """
        if self._run_options.terminate:
            self._run_options = _run_options()
        self._runner.gather(requests)

    def terminate(self) -> None:
        """From another thread: let the run in progress fail, at its next operator."""
        self._run_options.terminate = True

    def run(self) -> None:
        """Run the gathered batch. ExecutionFailed carries ONNX Runtime's reason."""
        if self._tally is None:
            self._runner.run(self._run_options)
            return
        try:
            self._runner.run(self._run_options)
        finally:  # read after every run, failed ones too: what is left would count for the thread's next run
            self.attention_s = self._tally.seconds()

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
        """Each request's rows of every output: views, valid until the next gather."""
        return self._runner.split(rows_per_request)

    def infer(self, request: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One request from arrays to arrays; the results are views, valid until the next gather."""
        self.gather([request])
        self.run()
        return self.split([len(next(iter(request.values()))) if self.batched else 1])[0]
