"""The models a server has: which versions, in what state, each with its door, its pipeline and its totals."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from fovea.contract.errors import FoveaError, InvalidRequest, NotFound, NotReady
from fovea.runtime.loading import LoadedVersion, LoadSettings, load_version
from fovea.runtime.reasons import tellable
from fovea.runtime.repository import ModelFolder, chosen_versions, scan
from fovea.serving.attention_sampler import AttentionSampler
from fovea.serving.batcher import BatchPolicy, Kind, Request
from fovea.serving.codec import Door
from fovea.serving.pipeline import Pipeline, QueueLimit
from fovea.serving.statistics import Statistics
from fovea.serving.telemetry import ModelLabels, Recorder, Telemetry
from fovea.serving.triton_config import read_config
from fovea.serving.worker import BatchRecord, Outcome, Workshop

log = logging.getLogger(__name__)
_VERSION = re.compile(r"0*[1-9][0-9]{0,17}", re.ASCII)


class VersionState(StrEnum):
    """The protocol's states of a version."""

    LOADING = "LOADING"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True)
class BatchDefaults:
    """What holds where a model does not choose for itself."""

    delay_s: float
    queue: QueueLimit


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
        self.door = Door(loaded.card, loaded.version, self.max_batch_rows)
        self.statistics = Statistics()
        self._sampler = sampler
        delay_s = folder.choices.max_queue_delay_s
        if delay_s is None:
            delay_s = min(defaults.delay_s, loaded.cost.worthwhile_delay_s())
        self.policy = BatchPolicy(self.max_batch_rows, delay_s, self.rows_for)
        self.max_queue = defaults.queue.requests
        self.recorder: Recorder = telemetry.recorder(_labels(loaded), lambda: self.pipeline.waiting)
        self.recorder.batch_cost(loaded.cost.points())
        sessions = [loaded.session, *(loaded.open_instance() for _ in range(folder.choices.instances - 1))]
        self.pipeline = Pipeline(
            Workshop(sessions.pop, loaded.open_maps),
            self.policy,
            self,
            limit=defaults.queue,
            instances=folder.choices.instances,
        )

    def rows_for(self, kind: Kind) -> int:
        """The largest batch of this kind that is worth making, as measured or as model.toml says."""
        return self._rows_for(kind.length)

    def _rows_for(self, length: int | None) -> int:
        return self.folder.choices.batch_rows or self.loaded.rows_for(length)

    @property
    def preferred_rows(self) -> list[int]:
        """The largest batches worth making, over all lengths."""
        sizes = {self._rows_for(length) for length in self.loaded.cost.curves or (None,)}
        return sorted(min(rows, self.max_batch_rows) for rows in sizes)

    def cost(self, kind: Kind, rows: int) -> float | None:
        """Seconds that a batch takes, as measured; None where nothing like it was."""
        return self.loaded.cost.seconds(kind.length, rows) if self._was_measured(kind) else None

    def warmed(self, kind: Kind, rows: int) -> bool:
        """Whether warm-up ran batches of this kind that were as large."""
        return self._was_measured(kind) and self.loaded.cost.warmed(kind.length, rows)

    def _was_measured(self, kind: Kind) -> bool:
        return kind.length is not None or kind.shapes == self.loaded.warm_shapes

    def batch(self, record: BatchRecord, queue_s: Sequence[float]) -> None:
        """A batch ran."""
        self.statistics.batch(record, queue_s)
        self.recorder.batch(record, queue_s)

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

    def close(self) -> None:
        """Finish what waits, then let go of everything."""
        self.pipeline.close()
        self.recorder.remove()
        self.loaded.close()


def _loading(folder: ModelFolder) -> ModelEntry:
    return ModelEntry(folder, {str(version): VersionEntry(VersionState.LOADING) for version in chosen_versions(folder)})


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


@dataclass
class VersionEntry:
    """One version's place in the table."""

    state: VersionState
    reason: str = ""
    served: ServedVersion | None = None


@dataclass
class ModelEntry:
    """One model: its folder and its versions."""

    folder: ModelFolder
    versions: dict[str, VersionEntry] = field(default_factory=dict)

    @property
    def default(self) -> str | None:
        """The version that a request without one gets: the highest that is ready, else the highest."""
        ready = [version for version, entry in self.versions.items() if entry.served]
        return max(ready or self.versions, key=int, default=None)


class Models:
    """The table of models. Loaded at start by one thread, read by all."""

    def __init__(
        self, settings: LoadSettings, defaults: BatchDefaults, telemetry: Telemetry, sampler: AttentionSampler
    ) -> None:
        self._settings, self._defaults = settings, defaults
        self._telemetry, self._sampler = telemetry, sampler
        self.entries: dict[str, ModelEntry] = {}
        self._ready: dict[tuple[str, str], ServedVersion] = {}

    def load(self, repository: Path, tell: Callable[[str, bool], None]) -> None:
        """Load every chosen version of the repository; `tell` hears of each model, and whether it is ready."""
        self.entries = {name: _loading(folder) for name, folder in scan(repository, read_config).items()}
        for name in self.entries:
            tell(name, False)
        for name, entry in self.entries.items():
            for version in entry.versions:
                self._load_version(entry, version)
            self._publish(name, entry)
            tell(name, (name, "") in self._ready)

    def _load_version(self, entry: ModelEntry, version: str) -> None:
        try:
            served = self._serve(entry.folder, int(version))
        except FoveaError as error:
            entry.versions[version] = VersionEntry(VersionState.UNAVAILABLE, tellable(str(error)))
        except Exception as error:  # one version's trouble is never the server's
            log.exception("%s version %s", entry.folder.name, version)
            entry.versions[version] = VersionEntry(VersionState.UNAVAILABLE, f"{type(error).__name__} while loading")
        else:
            entry.versions[version] = VersionEntry(VersionState.READY, "", served)
            return
        self._telemetry.unready(entry.folder.name, version, "none")
        log.error("%s version %s is unavailable: %s", entry.folder.name, version, entry.versions[version].reason)

    def _serve(self, folder: ModelFolder, version: int) -> ServedVersion:
        if folder.problem:
            raise NotReady(folder.problem)
        settings = self._settings.for_model(folder)
        loaded = load_version(folder.version_path(version), folder.name, version, settings)
        return ServedVersion(loaded, folder, self._defaults, self._telemetry, self._sampler)

    def _publish(self, name: str, entry: ModelEntry) -> None:
        for version, held in entry.versions.items():
            if held.served:
                self._ready[name, version] = held.served
        if entry.default and (default := entry.versions[entry.default].served):
            self._ready[name, ""] = default

    def ready(self, name: str, version: str) -> ServedVersion:
        """The version that answers; NotFound, NotReady or InvalidRequest tell why none does."""
        return self._ready.get((name, version)) or self._refuse(name, version)

    def entry(self, name: str, version: str) -> tuple[str, VersionEntry]:
        """A version's number and place; the default for "". NotFound or InvalidRequest where there is none."""
        model = self.entries.get(name)
        if model is None:
            raise NotFound(f"unknown model '{name}'")
        if version and not _VERSION.fullmatch(version):
            raise InvalidRequest(f"model '{name}': version '{version}' is no positive integer")
        number = str(int(version)) if version else model.default
        if number is None or number not in model.versions:
            raise NotFound(f"model '{name}' has no version '{version}'; it has {list(model.versions)}")
        return number, model.versions[number]

    def _refuse(self, name: str, version: str) -> ServedVersion:
        number, entry = self.entry(name, version)
        if entry.served:
            return entry.served
        reason = f": {entry.reason}" if entry.reason else ""
        raise NotReady(f"model '{name}' version {number} is {entry.state}{reason}")

    def ready_versions(self, name: str) -> list[str]:
        """The ready versions of a model."""
        return [version for version, held in self.entries[name].versions.items() if held.served]

    def served(self) -> list[ServedVersion]:
        """Every ready version."""
        return [held.served for entry in self.entries.values() for held in entry.versions.values() if held.served]

    @property
    def quiet(self) -> bool:
        """True while no request waits or runs."""
        return all(served.pipeline.quiet for served in self.served())

    def close(self) -> None:
        """Finish what waits and close every version."""
        for served in self.served():
            served.close()
        self._ready.clear()
