"""One ready version of a model: its door, its pipeline, its totals, and what watches them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.repository import ModelFolder
from fovea.runtime.serving_choices import ServingChoices
from fovea.serving.engines.batching.batcher import BatchPolicy
from fovea.serving.engines.batching.observer import BatchRecord
from fovea.serving.engines.batching.outcomes import Outcome
from fovea.serving.engines.batching.pipeline import Pipeline
from fovea.serving.engines.batching.queue_limit import QueueLimit
from fovea.serving.engines.batching.requests import BatchKey, Request
from fovea.serving.engines.batching.worker import SessionSource
from fovea.serving.messages.codec import Door
from fovea.serving.messages.request_parameters import RequestDefaults
from fovea.serving.observability.attention_sampler import AttentionSampler
from fovea.serving.observability.recorder import ModelLabels, Recorder
from fovea.serving.observability.statistics import Statistics
from fovea.serving.observability.telemetry import Telemetry
from fovea.serving.response_cache import ResponseCache, VersionCache

log = logging.getLogger(__name__)
_COSTS_KEPT = 1024
"""Every request with a deadline asks for one, and working it out takes a microsecond."""


@dataclass(frozen=True)
class BatchDefaults:
    """What holds where a model does not choose for itself."""

    delay_s: float
    queue: QueueLimit
    cache: ResponseCache | None = None
    """Where answers of models that ask for it are kept."""


class ServedVersion:
    """A ready version: what answers its requests, and what watches them. It is its pipeline's observer."""

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
        self.door = Door(loaded.card, loaded.version, self.max_batch_rows, _request_defaults(folder.choices))
        self.statistics = Statistics()
        self._telemetry, self._sampler = telemetry, sampler
        choices = folder.choices
        self.policy = replace(_policy(loaded, choices, defaults), cost=lru_cache(_COSTS_KEPT)(self.cost))
        self.limit = replace(defaults.queue, requests=choices.max_queue or defaults.queue.requests)
        self._sessions = [loaded.session, *(loaded.open_instance() for _ in range(choices.instances - 1))]
        source = SessionSource(self._sessions.pop, loaded.open_maps, choices.instances)
        self.cache = VersionCache(defaults.cache, self) if defaults.cache and choices.cache else None
        if choices.cache and self.cache is None:
            log.warning("%s asks for a response cache, and there is no room for one: cache_mb is 0", self.card.name)
        self.pipeline = Pipeline(source, self.policy, self, limit=self.limit)
        # Last: a scrape may come at once, and a version that could not be made must leave no series.
        self.recorder: Recorder = telemetry.recorder(_labels(loaded), lambda: self.pipeline.waiting)
        self.recorder.batch_cost(loaded.cost.points_in_words())

    @property
    def remark(self) -> str:
        """What there is to say of it: what of its configuration is without effect, and of how it is batched."""
        stated = self.folder.stated
        without_effect = f"{stated.source}: {stated.remark}" if stated and stated.remark else ""
        return "; ".join(filter(None, (without_effect, self.loaded.batching)))

    @property
    def preferred_rows(self) -> list[int]:
        """As model.toml says; else the largest batches worth making, over all lengths that were measured."""
        measured = filter(None, map(self.policy.worthwhile_rows, self.loaded.cost.curves))
        return sorted(self.policy.preferred_rows or set(measured) or {self.policy.max_rows})

    def cost(self, kind: BatchKey, rows: int) -> float | None:
        """Seconds that a batch takes, as measured; None where nothing like it was."""
        return self.loaded.cost.seconds(kind.lengths, rows) if self._was_measured(kind) else None

    def warmed(self, kind: BatchKey, rows: int) -> bool:
        """Whether warm-up ran batches of this kind that were as large."""
        return self._was_measured(kind) and self.loaded.cost.warmed(kind.lengths, rows)

    def _was_measured(self, kind: BatchKey) -> bool:
        plain = not kind.maps  # the session with maps is opened when it is first wanted
        return plain and (bool(kind.lengths) or kind.shapes == self.loaded.warm_shapes)

    def batch(self, record: BatchRecord, queue_s: Sequence[float]) -> None:
        """A batch ran."""
        self.statistics.batch(record, queue_s)
        self.recorder.batch(record, queue_s)
        if not self.warmed(record.kind, record.rows):
            self.recorder.unwarmed_batch()

    def batch_failed(self) -> None:
        """A batch failed."""
        self.recorder.batch_failed()

    def requests(self, outcome: Outcome, duration_s: Sequence[float], rows: int) -> None:
        """Requests ended."""
        self.statistics.requests(outcome, duration_s)
        self.recorder.requests(outcome, duration_s, rows)

    def sample(self, batch: Sequence[Request]) -> None:
        """A batch that may be run again, to see what its attention costs."""
        if not batch[0].kind.maps:
            self._sampler.offer(self, [request.inputs for request in batch])

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
        """Finish what was admitted, then let go of everything: workers, sessions, answers, series."""
        self.pipeline.close()
        if self.cache is not None:
            self.cache.close()
        self._sessions.clear()  # those that no worker came to open
        self._telemetry.retire(self.recorder)
        self.loaded.close()


def _policy(loaded: LoadedVersion, choices: ServingChoices, defaults: BatchDefaults) -> BatchPolicy:
    """As model.toml says, else as was measured."""
    chosen_rows = choices.batch_rows or max(choices.preferred_batch_rows, default=0)
    delay_s = choices.max_queue_delay_s
    if delay_s is None:
        delay_s = min(defaults.delay_s, loaded.cost.worthwhile_delay_s())
    policy = BatchPolicy(
        min(chosen_rows or loaded.max_batch_rows, loaded.max_batch_rows),
        delay_s,
        preferred_rows=choices.preferred_batch_rows,
        max_elements=choices.max_batch_elements,
    )
    return (
        policy if chosen_rows else replace(policy, worthwhile_rows=lru_cache(_COSTS_KEPT)(loaded.cost.worthwhile_rows))
    )


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
        {layer.operator: layer.attention for layer in loaded.card.layers},
    )
