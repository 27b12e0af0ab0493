"""A version that was loaded: what a server runs, and the facts of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import NotFound
from fovea.contract.model_card import MAPS_FILE, MODEL_FILE, ModelCard
from fovea.runtime.arrays import Arrays
from fovea.runtime.cost import BatchCost
from fovea.runtime.files import model_path, require_whole
from fovea.runtime.golden import Golden, golden_of
from fovea.runtime.kernel_choice import Choice, choose_kernels
from fovea.runtime.kernel_library import NOT_FOUND
from fovea.runtime.opening import open_model
from fovea.runtime.ort_session import SessionSettings
from fovea.runtime.printable import printable
from fovea.runtime.sample_rows import WarmUpRows
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature
from fovea.runtime.stopwatch import Stopwatch, by_the_clock
from fovea.runtime.warm_up import measure_cost, run_measured_sizes

logger = logging.getLogger(__name__)


class LoadedVersion:
    """A version that gives right answers, ready to run: its facts, its first session, and how to open more.

    `kernels` is "fused" (the kernel library runs the attention blocks, or those that it can), "body" (their function
    bodies do) or "none" (the model has no such blocks). `kernels_cause` and `kernels_reason` tell why a body runs.
    """

    def __init__(
        self,
        path: Path,
        card: ModelCard,
        version: int,
        choice: Choice,
        settings: SessionSettings,
        *,
        batching: str = "",
        file: str = MODEL_FILE,
    ) -> None:
        self.name = card.name
        self.version = version
        self.path = path
        self.file = file
        """What the model is called in it."""
        self.card = card
        self.sha256 = card.sha256[MODEL_FILE]
        self.kernels = choice.kernels
        self.kernels_cause = choice.obstacle.cause.value if choice.obstacle else ""
        self.kernels_reason = printable(choice.reason)
        self.batching = printable(batching)
        """Why requests do not share batches as the file would let them, or do against what was seen of it."""
        self.session = choice.session
        self.fused_operators = choice.session.fused_operators
        untallied, on_gpu = card.operators - choice.session.tallied_operators, settings.device.kind == "cuda"
        self.profiled_operators = frozenset[str]() if on_gpu else untallied
        """Those whose time no run tells, unless it is profiled."""
        self.unmeasured_operators = untallied if on_gpu else frozenset[str]()
        """Those whose time nothing tells: on a GPU a profile has what it took to launch them, not to run them."""
        if self.unmeasured_operators:
            told = (self.name, version, ", ".join(sorted(self.unmeasured_operators)), settings.device)
            logger.info("%s version %d: the time of %s is not measured on %s: a profile has launch times only", *told)
        self.max_batch_rows = choice.session.max_batch_rows
        self.provider = choice.session.providers[0]
        self.settings = replace(settings, kernel_library=settings.kernel_library if choice.fused else None)
        """What the session was opened with, in the end."""
        self.cost = BatchCost()
        """Empty before warm-up, and where the model could not run a made-up row."""
        self.warm_shapes: tuple[tuple[int, ...], ...] = ()
        """Shape of each input in the row that warm-up ran, without the batch axis."""

    @property
    def model(self) -> Path:
        """Its ONNX file."""
        return model_path(self.path, self.file)

    @property
    def doubt(self) -> str:
        """What warm-up could not find out; empty where it ran a row."""
        return "" if self.cost.curves else "it fails on made-up rows, so no row was run before the first request"

    def warm_up(self, golden: Golden | None, known: BatchCost | None, stopwatch: Stopwatch = by_the_clock) -> None:
        """Run all lengths that warm-up runs in batches of a few sizes. What that costs is known, or measured here."""
        rows = WarmUpRows(self.card, golden)
        if known is None:
            self.cost = measure_cost(self.session, rows, stopwatch, tuple(self.card.lengths))
        else:
            self.cost = known
            run_measured_sizes(self.session, rows, known)
        if self.doubt:
            logger.warning("%s version %d: %s", self.name, self.version, self.doubt)
        row, first = rows.smallest, 1 if self.card.batched else 0
        self.warm_shapes = tuple(row[spec.name].shape[first:] for spec in self.card.inputs if spec.name in row)
        lone = [
            self.cost.words(lengths) for lengths in self.cost.curves if lengths and not self.cost.warmed(lengths, 2)
        ]
        if lone and self.max_batch_rows > 1:
            told = (self.name, self.version, ", ".join(lone))
            logger.info("%s version %d: warm-up had no time for more than one row a batch of lengths %s", *told)

    def joined(self, requests: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
        """Requests that share a batch as one request, in memory of its own."""
        padding = self.session.padding
        if not self.card.batched:
            whole = padding.whole(requests[0]) if padding else requests[0]
            return {name: np.array(array) for name, array in whole.items()}
        if padding is not None:
            return padding.joined(requests)
        return {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}

    def open_instance(self) -> ModelSession:
        """Another session of the same model, warm, for a second worker."""
        signature = Signature.of(self.card, self.card.outputs, self.max_batch_rows)
        session = open_model(self.model, signature, self.settings)
        run_measured_sizes(session, WarmUpRows(self.card, golden_of(self.path, self.card)), self.cost)
        return session

    def open_maps(self) -> ModelSession:
        """A session of `maps.onnx`: the model's outputs, then the attention maps. NotFound where there are none.

        ModelBroken where its answers are not the golden ones, with kernels as without.
        """
        if MAPS_FILE not in self.card.sha256 or not self.card.maps:
            raise NotFound(f"{self.name} version {self.version} has no attention maps")
        require_whole(self.path, self.card)  # what is served may be older than the files
        signature = Signature.of(self.card, (*self.card.outputs, *self.card.maps.values()), self.max_batch_rows)

        def open_with(library: Path | None) -> ModelSession:
            return open_model(self.path / MAPS_FILE, signature, replace(self.settings, kernel_library=library))

        offer = self.settings.kernel_library or NOT_FOUND
        choice = choose_kernels(open_with, offer, golden_of(self.path, self.card), self.card, stopwatch=None)
        if choice.kernels != self.kernels:
            logger.warning(
                "maps of %s version %d: kernels=%s: %s", self.name, self.version, choice.kernels, choice.reason
            )
        return choice.session

    def close(self) -> None:
        """Let go of the session, once or more often; workers that still run in it keep it alive until they are done."""
        if hasattr(self, "session"):
            del self.session
