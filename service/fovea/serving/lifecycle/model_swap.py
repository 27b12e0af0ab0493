"""How the table follows a model's folder: load what is new beside what serves, swap, let the old one finish.

Of one model, called by one thread at a time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from fovea.contract.errors import LoadFailed, ModelBroken
from fovea.runtime.printable import printable
from fovea.runtime.repository import ModelFolder, chosen_versions, why_none
from fovea.serving.lifecycle.model_entries import VersionEntry, VersionState
from fovea.serving.lifecycle.model_table import Models
from fovea.serving.lifecycle.reload_plan import Source, sources_of, to_let_go, to_load
from fovea.serving.lifecycle.served_version import ServedVersion
from fovea.serving.lifecycle.version_loader import VersionLoader

log = logging.getLogger(__name__)


class ModelSwap:
    """Changes the table. `tell` hears which model has changed; `closed` of versions that have ended."""

    def __init__(
        self,
        models: Models,
        loader: VersionLoader,
        tell: Callable[[str], None],
        closed: Callable[[ServedVersion], None],
    ) -> None:
        self._models, self._loader, self._tell, self._closed = models, loader, tell, closed

    def announce(self, folder: ModelFolder, held: VersionEntry) -> None:
        """A model that is not in the table yet, its versions all in one state."""
        self._models.put(folder, {str(version): held for version in chosen_versions(folder)})
        self._tell(folder.name)

    def follow(self, folder: ModelFolder, *, again: bool = False) -> None:
        """Serve what the folder's policy chooses. `again`: also try what failed before and has not changed.

        A version that answers is let go only once its successor does, so no request finds none in between.
        """
        name, wanted = folder.name, sources_of(folder)
        self._models.put(folder)
        news = to_load(wanted, self._versions(name), again=again)
        self._serve(folder, {version: wanted[version] for version in news})

    def retry(self, name: str) -> None:
        """Try again what could not be loaded for a reason that may have passed."""
        entry = self._models.entries[name]
        self._serve(entry.folder, {version: entry.versions[version].source for version in entry.failing})

    def _serve(self, folder: ModelFolder, loads: Mapping[str, Source]) -> None:
        """Load these, and let go of what they replace."""
        name = folder.name
        for version, source in loads.items():
            self._load(folder, version, source)
        wanted, there = ([str(version) for version in some] for some in (chosen_versions(folder), folder.versions))
        for version in to_let_go(wanted, there, self._versions(name)):
            self._let_go(name, version, None)
        self._tell(name)

    def unload(self, name: str, then: VersionEntry | None = None) -> list[threading.Thread]:
        """Let go of every version; `then` takes its place once it has ended, which is when its thread ends."""
        versions = self._versions(name)
        if not versions:
            self._models.take(name)
        leaving = [self._let_go(name, version, then) for version in versions]
        self._tell(name)
        return [thread for thread in leaving if thread]

    def _versions(self, name: str) -> dict[str, VersionEntry]:
        entry = self._models.entries.get(name)
        return dict(entry.versions) if entry else {}

    def _load(self, folder: ModelFolder, version: str, source: Source) -> None:
        old = self._versions(folder.name).get(version)
        serving = old.served if old else None
        if not serving:
            self._models.put_version(folder, version, VersionEntry(VersionState.LOADING))
        try:
            served = self._loader.load(folder, version)
        except ModelBroken as error:
            outlook = {"passing": isinstance(error, LoadFailed), "unsupported": folder.unsupported}
            refused = VersionEntry(VersionState.UNAVAILABLE, str(error), None, source, **outlook)
            self._models.put_version(folder, version, self._refuse(folder.name, version, refused, serving))
            return
        self._models.put_version(folder, version, VersionEntry(VersionState.READY, "", served, source))
        self._loader.telemetry.forget(folder.name, version)
        log.info("%s version %s is ready", folder.name, version)
        if serving:
            self._models.let_go(serving, partial(self._closed, serving))

    def _refuse(self, name: str, version: str, refused: VersionEntry, serving: ServedVersion | None) -> VersionEntry:
        """What takes the place of a version that could not be loaded: what is serving already, where something is."""
        if serving is None:
            self._loader.telemetry.unready(name, version)
            log.error("%s version %s is unavailable: %s", name, version, refused.reason)
            return refused
        reason = f"newer files are not served: {refused.reason}"
        log.error("%s version %s goes on as it was: %s", name, version, reason)
        return replace(refused, state=VersionState.READY, reason=reason, served=serving)

    def _let_go(self, name: str, version: str, then: VersionEntry | None) -> threading.Thread | None:
        """Take a version out; `then` takes its place once its last request is answered."""
        held = self._versions(name).get(version)
        if held is None or held.state is VersionState.UNLOADING:
            return None
        if held.served is None:
            self._models.swap_version(name, version, held, then)
            self._loader.telemetry.forget(name, version)
            return None
        leaving = VersionEntry(VersionState.UNLOADING)
        self._models.swap_version(name, version, held, leaving)
        return self._models.let_go(held.served, partial(self._ended, leaving, then, held.served))

    def _ended(self, leaving: VersionEntry, then: VersionEntry | None, served: ServedVersion) -> None:
        self._models.swap_version(served.card.name, served.version, leaving, then)
        self._tell(served.card.name)
        self._loader.telemetry.forget(served.card.name, served.version)
        log.info("%s version %s has ended", served.card.name, served.version)
        self._closed(served)


def warn_of_what_is_passed_over(folder: ModelFolder) -> None:
    """What somebody may miss of a model, in the log."""
    if not chosen_versions(folder):
        log.warning("%s is not served: %s", folder.name, why_none(folder))
    if folder.passed_over:
        told = "; ".join(f"version {version} is not served: {reason}" for version, reason in folder.passed_over.items())
        log.warning("%s: %s", folder.name, printable(told))
