"""A model's session with the buffers of the batch in it: gather, run, split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, InputRefused
from fovea.contract.lengths import masks_of
from fovea.runtime.arrays import Arrays
from fovea.runtime.buffers import BoundBuffers, can_be_bound
from fovea.runtime.device import Device
from fovea.runtime.padded_runners import PaddedRunner, WholeRunner
from fovea.runtime.padding import Padding
from fovea.runtime.runners import BoundRunner, FreeRunner, Runner
from fovea.runtime.signature import Signature
from fovea.runtime.tally import Tally

_SHRINK = "memory.enable_memory_arena_shrinkage"


@dataclass(frozen=True)
class KernelUse:
    """What the kernel library does in a session."""

    fused: frozenset[str] = frozenset()
    """The `ai.fovea` operators that it runs."""
    tally: Tally | None = None
    """What keeps their time, where that is kept."""

    @property
    def tallied(self) -> frozenset[str]:
        """The operators whose time every run tells."""
        return self.fused if self.tally else frozenset()


class ModelSession:
    """One session and the buffers of the batch in it. Used by one thread at a time."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        signature: Signature,
        device: Device,
        kernels: KernelUse = KernelUse(),
        *,
        shrinks: bool = False,
    ) -> None:
        self.opened, self._signature = session, signature
        self.inputs = signature.inputs
        self.outputs = signature.outputs
        self.batched = signature.batched
        self.max_batch_rows = signature.max_batch_rows
        self.device = device
        self.fused_operators = kernels.fused
        self.tallied_operators = kernels.tallied
        self.attention_s: Mapping[str, float] = {}
        """Seconds inside each fused operator in the last run, where the kernels keep a tally."""
        self._tally = kernels.tally
        self.providers: tuple[str, ...] = tuple(session.get_providers())
        lengths = signature.lengths
        self.padding = Padding(lengths, self.inputs, to_buckets=device.kind != "cpu") if lengths else None
        """How requests of different lengths are laid side by side, for a model that has lengths."""
        self.made_inputs = masks_of(lengths)
        """Inputs that a request may leave out, since they are made."""
        self._options = {_SHRINK: _arena(device)} if shrinks else {}
        self._has_run = self._terminated = False
        self._run_options = _run_options(self._options)
        self._runner = _runner(session, signature, device, self.padding)

    @property
    def padding_ratio(self) -> float:
        """The share of the gathered batch that is padding."""
        return self._runner.padding_ratio

    def gather(self, requests: Sequence[Arrays]) -> None:
        """Copy the rows of all requests together; each request has every input, of the card's dtype and shape; the
        masks of lengths may be missing, and requests may differ in length within a bucket.

        InvalidRequest where they are more than `max_batch_rows`; a model that does not batch takes exactly one request.
        """
        if self._terminated:
            self._run_options, self._terminated = _run_options(self._options), False
        self._runner.gather(requests)

    def terminate(self) -> None:
        """From another thread: let the run in progress fail, at its next operator."""
        self._terminated = self._run_options.terminate = True

    def run(self) -> None:
        """Run the gathered batch. ExecutionFailed carries ONNX Runtime's reason; InputRefused, after a run that did not
        fail, that the batch is why.
        """
        try:
            self._runner.run(self._run_options)
            self._has_run = True
        except InputRefused as error:
            if self._has_run:
                raise
            raise ExecutionFailed(str(error)) from error
        finally:
            if self._tally is not None:  # after failed runs too: what is left would count for the thread's next run
                self.attention_s = self._tally.seconds()

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
        """Each request's rows of every output: views, valid until the next gather."""
        return self._runner.split(rows_per_request)

    def unbatched(self) -> ModelSession:
        """The same for requests one by one, each as it is: whatever their first axis is, it holds no other's rows."""
        return ModelSession(self.opened, replace(self._signature, batched=False, max_batch_rows=1), self.device)

    def infer(self, request: Arrays) -> dict[str, NDArray[Any]]:
        """One request from arrays to arrays; the results are views, valid until the next gather."""
        self.gather([request])
        self.run()
        return self.split([len(next(iter(request.values()))) if self.batched else 1])[0]


def _runner(session: Any, signature: Signature, device: Device, padding: Padding | None) -> Runner:
    if padding is not None:
        padded = signature.batched
        return PaddedRunner(session, signature, device, padding) if padded else WholeRunner(session, signature, padding)
    if signature.batched and can_be_bound(session, signature):
        return BoundRunner(BoundBuffers(session, signature, device), signature.inputs[0].name)
    return FreeRunner(session, signature)


def _run_options(entries: Mapping[str, str]) -> onnxruntime.RunOptions:
    options = onnxruntime.RunOptions()
    for name, value in entries.items():
        options.add_run_config_entry(name, value)
    return options


def _arena(device: Device) -> str:
    return "cpu:0" if device.kind == "cpu" else f"cpu:0;gpu:{device.index}"
