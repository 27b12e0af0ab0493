"""Running models that have lengths: batches filled up and cut again, or each request by itself."""

from __future__ import annotations

from collections.abc import Sequence
from operator import gt
from typing import Any

from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, InvalidRequest, OutOfMemory
from fovea.runtime.arrays import Arrays
from fovea.runtime.buffers import Bound, BoundBuffers, can_be_bound
from fovea.runtime.device import Device
from fovea.runtime.padding import Batch, Padding
from fovea.runtime.runners import FreeRunner
from fovea.runtime.signature import Signature


class WholeRunner(FreeRunner):
    """Runs requests to a model that does not batch, each by itself, with the masks."""

    def __init__(self, session: Any, signature: Signature, padding: Padding) -> None:
        super().__init__(session, signature)
        self._padding = padding

    def gather(self, requests: Sequence[Arrays]) -> None:
        super().gather([self._padding.whole(request) for request in requests])


class PaddedRunner:
    """Runs padded batches: in buffers bound per size where the sizes of all tensors follow from rows and lengths."""

    def __init__(self, session: Any, signature: Signature, device: Device, padding: Padding) -> None:
        self._padding = padding
        self._free = FreeRunner(session, signature)
        self._buffers: BoundBuffers | None = None
        if can_be_bound(session, signature, padding.row_shape, padding.longest):
            self._buffers = BoundBuffers(session, signature, device, padding.row_shape, padding.longest)
        self._batch = Batch((), (), ())
        self._bound: Bound | None = None

    @property
    def padding_ratio(self) -> float:
        return self._padding.padding_ratio(self._batch)

    def gather(self, requests: Sequence[Arrays]) -> None:
        self._batch = batch = self._padding.batch(requests)
        self._bound = None
        if self._buffers is None or any(map(gt, batch.lengths, self._padding.longest)):
            self._free.gather([self._padding.joined(requests)])
        else:
            self._bound = self._buffers.of(batch.rows, batch.lengths)
            self._padding.fill(batch, requests, self._bound.inputs)

    def run(self, options: Any = None) -> None:
        try:
            self._run(options)
        except OutOfMemory:
            raise
        except ExecutionFailed as error:
            if not (beyond := self._padding.beyond(self._batch.lengths)):
                raise
            raise InvalidRequest(f"the model cannot run these lengths: {beyond}") from error

    def _run(self, options: Any) -> None:
        if self._buffers is None or self._bound is None:
            self._free.run(options)
        else:
            self._buffers.run(self._bound, options)

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, NDArray[Any]]]:
        outputs = self._bound.outputs if self._bound is not None else self._free_outputs()
        return self._padding.cut(outputs, rows_per_request, self._batch.lengths_each)

    def _free_outputs(self) -> Arrays:
        """Bound outputs have the sizes that were bound; others are looked at before they are cut."""
        [outputs] = self._free.split([self._batch.rows])
        for name, array in outputs.items():
            expected = self._padding.output_shape(name, array.shape, self._batch)
            if array.shape != expected:
                raise ExecutionFailed(f"output {name} has shape {list(array.shape)}, expected {list(expected)}")
        return outputs
