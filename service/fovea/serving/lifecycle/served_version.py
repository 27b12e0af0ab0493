"""One ready version of a model: its door, its engine, its totals, and what watches them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from fovea.runtime.arrays import Arrays
from fovea.runtime.files import read_text
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.model_toml import ServingChoices
from fovea.runtime.repository import ModelFolder
from fovea.serving.engines.batching.start import start_batching
from fovea.serving.engines.engine import Engine
from fovea.serving.engines.outcomes import Outcome
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.engines.ran_batch import RanBatch
from fovea.serving.inputs.raw_input import raw_inputs
from fovea.serving.observability.attention_sampler import AttentionSampler
from fovea.serving.observability.ledger import Ledger
from fovea.serving.observability.recorder import ModelLabels, Recorder
from fovea.serving.observability.statistics import Statistics
from fovea.serving.observability.telemetry import Telemetry
from fovea.serving.requests.door import Door
from fovea.serving.requests.request_parameters import RequestDefaults
from fovea.serving.requests.response_cache import ResponseCache, VersionCache

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchDefaults:
    """What holds where a model does not choose for itself."""

    delay_s: float
    queue: QueueLimit
    cache: ResponseCache | None = None
    """Where answers of models that ask for it are kept."""


class ServedVersion:
    """A ready version: what answers its requests, and what watches them. It is its engine's observer."""

    def __init__(
        self,
        loaded: LoadedVersion,
        folder: ModelFolder,
        defaults: BatchDefaults,
        telemetry: Telemetry,
        sampler: AttentionSampler,
    ) -> None:
        self.loaded, self.folder = loaded, folder
        self.card = loaded.card
        self.version = str(loaded.version)
        self.max_batch_rows = loaded.session.max_batch_rows
        raw = raw_inputs(loaded.card, partial(read_text, loaded.path))
        self.door = Door(loaded.card, loaded.version, self.max_batch_rows, _request_defaults(folder.choices), raw)
        self._ledger = Ledger()
        self.statistics = Statistics(self._ledger.settle)
        self._telemetry, self._sampler = telemetry, sampler
        choices = folder.choices
        self.cache = VersionCache(defaults.cache, self) if defaults.cache and choices.cache else None
        if choices.cache and self.cache is None:
            log.warning("%s asks for a response cache, and there is no room for one: cache_mb is 0", self.card.name)
        limit = replace(defaults.queue, requests=choices.max_queue or defaults.queue.requests)
        self.engine: Engine = start_batching(loaded, choices, defaults.delay_s, limit, self)
        # Last: a scrape may come at once, and a version that could not be made must leave no series.
        self.recorder: Recorder = telemetry.recorder(_labels(loaded), lambda: self.engine.waiting)
        self.recorder.settle = self._ledger.settle
        self._ledger.books = [self.statistics, self.recorder]
        self.recorder.batch_cost(self.engine.cost.points_in_words())

    @property
    def remark(self) -> str:
        """What there is to say of it: what of its configuration is without effect, of batching, and of doubts."""
        declared = self.folder.declared
        without_effect = f"{declared.source}: {declared.remark}" if declared and declared.remark else ""
        return "; ".join(filter(None, (without_effect, self.loaded.batching, self.loaded.doubt)))

    def batch(self, ran: RanBatch, inputs: Sequence[Arrays]) -> None:
        """Count a batch that ran, and its requests; it may be run again, to see what its attention costs."""
        self._ledger.batch(ran)
        if inputs:
            self._sampler.offer(self, inputs)

    def batch_failed(self) -> None:
        """Count a batch that failed."""
        self.recorder.batch_failed()

    def requests(self, outcome: Outcome, duration_s: Sequence[float], rows: int) -> None:
        """Count requests that ended outside of a batch, by outcome."""
        self._ledger.requests(outcome, duration_s, rows)

    def cache_hit(self, lookup_s: float, duration_s: float, rows: int) -> None:
        """A request was answered from the cache."""
        self.statistics.cache_hit(lookup_s)
        self.recorder.cache_lookup("hit")
        self.requests("ok", [duration_s], rows)

    def cache_miss(self, seconds: float) -> None:
        """A request was not, and its answer is there now."""
        self.statistics.cache_miss(seconds)
        self.recorder.cache_lookup("miss")

    def close(self) -> None:
        """Finish what was admitted, then let go of everything: engine, answers, series, session."""
        self.engine.close()
        if self.cache is not None:
            self.cache.close()
        self._ledger.settle()
        self._telemetry.retire(self.recorder)
        self.loaded.close()


def _request_defaults(choices: ServingChoices) -> RequestDefaults:
    return RequestDefaults(choices.default_timeout_s, choices.priority_levels, choices.default_priority)


def _labels(loaded: LoadedVersion) -> ModelLabels:
    return ModelLabels(
        loaded.name,
        str(loaded.version),
        loaded.card.attention,
        loaded.kernels,
        loaded.kernels_cause,
        loaded.provider,
        loaded.sha256,
        {layer.operator: layer.attention for layer in loaded.card.layers if layer.operator},
    )
