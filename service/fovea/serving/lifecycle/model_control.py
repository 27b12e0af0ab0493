"""The life of models: loaded at start, swapped when their files change, loaded and unloaded on request.

Whoever changes the table holds one lock, from the first look at the files to the last version let go: changes come one
after another. Requests need no lock, they read the table.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fovea.contract.errors import Draining, InvalidRequest, Misconfigured, NotFound, Unsupported
from fovea.runtime.printable import printable
from fovea.runtime.repository import (
    ModelFolder,
    chosen_versions,
    has_models,
    model_folder,
    model_paths,
    no_model_in,
    scan,
    why_none,
)
from fovea.serving.lifecycle.load_request import LoadRequest
from fovea.serving.lifecycle.model_swap import ModelSwap
from fovea.serving.lifecycle.model_table import ModelEntry, Models, VersionEntry, VersionState
from fovea.serving.lifecycle.readiness import Readiness
from fovea.serving.lifecycle.repository_watch import RepositoryWatch
from fovea.serving.lifecycle.retries import Retries
from fovea.serving.lifecycle.sent_files import SentFiles
from fovea.serving.lifecycle.served_version import ServedVersion
from fovea.serving.lifecycle.triton_config import read_config
from fovea.serving.lifecycle.upkeep import Upkeep
from fovea.serving.lifecycle.version_loader import VersionLoader

log = logging.getLogger(__name__)

ControlMode = Literal["none", "poll", "explicit"]
EVERY_MODEL = "*"
_LOADING = VersionEntry(VersionState.LOADING)
_UNLOADED = VersionEntry(VersionState.UNAVAILABLE, "unloaded")
_NOT_LOADED = VersionEntry(VersionState.UNAVAILABLE, "not loaded")


@dataclass(frozen=True)
class ControlSettings:
    """How models come and go after the start."""

    repository: Path
    mode: ControlMode = "none"
    poll_s: float = 5.0
    load_models: frozenset[str] = frozenset()
    """With mode explicit: what to load at start; "*" is every model."""
    patience_s: float = 30.0
    """How long an unload waits for the last requests of what it unloads."""


class ModelControl:
    """Decides when models come and go. `tell` hears which model has changed."""

    def __init__(
        self,
        settings: ControlSettings,
        models: Models,
        loader: VersionLoader,
        tell: Callable[[str], None],
        readiness: Readiness,
    ) -> None:
        self._settings, self._models, self._readiness = settings, models, readiness
        self._files = SentFiles()
        self._swap = ModelSwap(models, loader, tell, self._closed)
        self._watch = RepositoryWatch(settings.repository)
        self._retries = Retries()
        self._upkeep = Upkeep(self.look, self.retry, settings.poll_s, looks=settings.mode == "poll")
        self._changing = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Load what the mode says, and go on as it says. Misconfigured where that cannot be."""
        self._watch.begin()
        folders = scan(self._settings.repository, read_config)
        if not has_models(folders):
            log.warning(no_model_in(self._settings.repository))
        for folder in folders.values():
            _warn_of_what_is_passed_over(folder)
        chosen = self._chosen_at_start(folders)
        self._readiness.expect(name for name in chosen if folders[name].is_meant)
        with self._changing:
            for name, folder in folders.items():
                self._swap.announce(folder, _LOADING if name in chosen else _NOT_LOADED)
            for name in chosen:
                if not self._stopped.is_set():
                    self._swap.follow(folders[name])
        if self._settings.mode != "explicit":  # there, who asked for a load hears of it and may ask again
            self._upkeep.start()

    def _chosen_at_start(self, there: Collection[str]) -> list[str]:
        named = self._settings.load_models
        if self._settings.mode != "explicit":
            if named:
                raise Misconfigured(f"load_models needs control mode explicit, it is {self._settings.mode}")
            return list(there)
        unknown = sorted(named - {EVERY_MODEL, *there})
        if unknown:
            raise Misconfigured(f"load_models names {unknown}, the repository has {list(there)}")
        return [name for name in there if named & {EVERY_MODEL, name}]

    def read_again(self) -> None:
        """Look at the repository now, and try again what has failed; back at once."""
        if self._settings.mode == "explicit":
            log.warning("nothing is read again in control mode explicit: callers load and unload")
        else:
            log.info("looking at the repository again")
            self._upkeep.wake()

    def look(self) -> None:
        """Look at the repository once, and follow what has changed."""
        with self._changing:
            for name, folder in self._watch.changed().items():
                if self._stopped.is_set():
                    return
                self._follow(name, folder)

    def _follow(self, name: str, folder: ModelFolder | None) -> None:
        if folder is None:
            self._swap.unload(name)
            return
        _warn_of_what_is_passed_over(folder)
        self._swap.follow(folder)

    def retry(self, now_s: float | None) -> None:
        """Try again what failed for a reason that may have passed: what is due by now, or with None all of it."""
        failing = [name for name, entry in self._models.entries.items() if entry.failing]
        for name in failing if now_s is None else self._retries.due(failing, now_s):
            with self._changing:
                if not self._stopped.is_set():
                    self._swap.retry(name)

    def load(self, request: LoadRequest) -> None:
        """Load or reload a model on request; back when that is done.

        NotFound where there is no such model, InvalidRequest where a version of it is not served, with the reason.
        """
        self._require_explicit()
        with self._changing:
            self._require_running()
            folder = self._requested_folder(request)
            try:
                folder = request.configured(folder)
                _warn_of_what_is_passed_over(folder)
                self._swap.follow(folder, again=True)
            finally:
                self._discard(folder.path)
            self._require_loaded(folder)

    def _requested_folder(self, request: LoadRequest) -> ModelFolder:
        if request.files:
            return model_folder(self._files.write(request), read_config)
        paths = {path.name: path for path in model_paths(self._settings.repository)}
        if request.name not in paths:
            raise NotFound(f"unknown model '{request.name}': the repository has no such folder")
        return model_folder(paths[request.name], read_config)

    def _require_loaded(self, folder: ModelFolder) -> None:
        entry = self._models.entries.get(folder.name)
        if entry is None or not chosen_versions(folder):
            raise InvalidRequest(f"load failed for model '{folder.name}': {why_none(folder)}")
        reasons = folder.absent | {version: held.reason for version, held in entry.versions.items() if held.reason}
        if reasons:
            problems = "; ".join(f"version {version}: {reason}" for version, reason in reasons.items())
            raise InvalidRequest(f"load failed for model '{folder.name}': {problems}")

    def unload(self, name: str) -> None:
        """Unload a model on request; back when its last request is answered, or patience has run out."""
        self._require_explicit()
        with self._changing:
            self._require_running()
            if name not in self._models.entries:
                raise NotFound(f"unknown model '{name}'")
            self._readiness.release(name)
            there = (self._settings.repository / name).is_dir()
            leaving = self._swap.unload(name, _UNLOADED if there else None)
        for thread in leaving:
            thread.join(self._settings.patience_s)

    def _closed(self, served: ServedVersion) -> None:
        self._discard(served.folder.path)

    def _discard(self, folder: Path) -> None:
        """Remove the files that were sent for a model, unless a version still has them."""
        if all(served.folder.path != folder for served in [*self._models.served(), *self._models.leaving]):
            self._files.discard(folder)

    def entries(self) -> Mapping[str, ModelEntry]:
        """The table, and with mode explicit also what the repository has that could be loaded."""
        if self._settings.mode != "explicit":
            return self._models.entries
        folders = scan(self._settings.repository, read_config).items()
        return {name: _unloaded_entry(folder) for name, folder in folders} | dict(self._models.entries)

    def stop(self) -> bool:
        """Begin no change any more; False where one is going on, for which nobody should wait."""
        self._stopped.set()
        self._upkeep.stop()
        idle = self._changing.acquire(blocking=False)
        if idle:
            self._changing.release()
        return idle

    def close(self) -> None:
        """Remove the files that were sent."""
        self._files.close()

    def _require_explicit(self) -> None:
        if self._settings.mode != "explicit":
            raise Unsupported(
                f"explicit model load / unload is not allowed in control mode {self._settings.mode}: "
                "the server must be started with --control-mode=explicit"
            )

    def _require_running(self) -> None:
        if self._stopped.is_set():
            raise Draining


def _warn_of_what_is_passed_over(folder: ModelFolder) -> None:
    if not chosen_versions(folder):
        log.warning("%s is not served: %s", folder.name, why_none(folder))
    if folder.passed_over:
        told = "; ".join(f"version {version} is not served: {reason}" for version, reason in folder.passed_over.items())
        log.warning("%s: %s", folder.name, printable(told))


def _unloaded_entry(folder: ModelFolder) -> ModelEntry:
    return ModelEntry(folder, {str(version): _NOT_LOADED for version in chosen_versions(folder)})
