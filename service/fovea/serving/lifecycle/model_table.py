"""The table of models: which versions there are, in what state, and who answers for each.

A change puts a new table in the place of the old one, whole: any number of threads read it, without a lock, each the
table of one moment.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from fovea.contract.errors import InvalidRequest, NotFound, NotReady, Unsupported
from fovea.runtime.memory import return_freed_memory
from fovea.runtime.repository import ModelFolder, chosen_versions, why_none
from fovea.serving.lifecycle.model_entries import ModelEntry, VersionEntry
from fovea.serving.lifecycle.served_version import ServedVersion
from fovea.serving.requests.header_bound import LEAST_BOUND

_VERSION = re.compile(r"0*[1-9][0-9]{0,17}", re.ASCII)


class Models:
    """The table, and the versions that have left it and are still finishing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Held for as long as a new table is made; readers go without."""
        self.entries: Mapping[str, ModelEntry] = {}
        self._ready: Mapping[tuple[str, str], ServedVersion] = {}
        self.most_header = LEAST_BOUND
        """Bytes that a request may have beside its data, to the model that needs the most."""
        self._leaving: dict[ServedVersion, threading.Thread] = {}

    def ready(self, name: str, version: str) -> ServedVersion:
        """The version that answers; NotFound, NotReady, Unsupported or InvalidRequest tell why none does."""
        return self._ready.get((name, version)) or self._refuse(name, version)

    def entry(self, name: str, version: str) -> tuple[str, VersionEntry]:
        """A version's number and place; the default for "". NotFound or InvalidRequest where there is none."""
        model = self.entries.get(name)
        if model is None:
            raise NotFound(f"Request for unknown model: '{name}' is not found")
        if version and not _VERSION.fullmatch(version):
            raise InvalidRequest(
                f"model '{name}': failed to get model version from specified version string '{version}', "
                "expected a positive integer"
            )
        number = str(int(version)) if version else model.default
        if number is None:
            raise NotFound(f"Request for unknown model: '{name}' has no available versions: {why_none(model.folder)}")
        if number not in model.versions:
            raise NotFound(
                f"Request for unknown model: '{name}' version {number} is not found, there are {list(model.versions)}"
            )
        return number, model.versions[number]

    def is_unready(self, name: str, version: str) -> bool:
        """Whether the table has this version, and it does not answer."""
        entry = self.entries.get(name)
        held = entry.versions.get(version) if entry else None
        return held is not None and held.served is None

    def _refuse(self, name: str, version: str) -> ServedVersion:
        number, entry = self.entry(name, version)
        if entry.served:
            return entry.served
        reason = f": {entry.reason}" if entry.reason else ""
        kind = Unsupported if entry.unsupported else NotReady
        raise kind(f"model '{name}' version {number} is {entry.state}{reason}")

    def ready_versions(self, name: str) -> list[str]:
        """The ready versions of a model."""
        return self.entries[name].ready if name in self.entries else []

    def served(self) -> list[ServedVersion]:
        """Every version that is ready."""
        return [held.served for entry in self.entries.values() for held in entry.versions.values() if held.served]

    def put(self, folder: ModelFolder, versions: Mapping[str, VersionEntry] | None = None) -> None:
        """Put a model into the table, or another folder in the place of its own; `versions` only where it is new."""
        with self._lock:
            held = self.entries.get(folder.name)
            self._replace(folder.name, ModelEntry(folder, held.versions if held else versions or {}))

    def put_version(self, folder: ModelFolder, version: str, held: VersionEntry) -> None:
        """Put a version in its model's place of that number."""
        with self._lock:
            self._put_version(self.entries.get(folder.name) or ModelEntry(folder, {}), version, held)

    def swap_version(self, name: str, version: str, old: VersionEntry, new: VersionEntry | None) -> None:
        """Put `new` where `old` is; do nothing where something else is there by now.

        None takes the version away, and with the last one the model, unless its folder chooses none.
        """
        with self._lock:
            entry = self.entries.get(name)
            if entry and entry.versions.get(version) is old:
                self._put_version(entry, version, new)

    def take(self, name: str) -> None:
        """Take a model away that has no versions."""
        with self._lock:
            self._replace(name, None)

    def _put_version(self, entry: ModelEntry, version: str, held: VersionEntry | None) -> None:
        versions = {number: other for number, other in entry.versions.items() if number != version}
        if held is not None:
            versions = dict(sorted({**versions, version: held}.items(), key=lambda item: int(item[0])))
        kept = versions or not chosen_versions(entry.folder)  # its folder is there, and tells why none is served
        self._replace(entry.folder.name, replace(entry, versions=versions) if kept else None)

    def _replace(self, name: str, entry: ModelEntry | None) -> None:
        kept = {other: held for other, held in self.entries.items() if other != name}
        entries = kept if entry is None else dict(sorted({**kept, name: entry}.items()))
        self.entries, self._ready = entries, _ready_table(entries)
        self.most_header = max((served.door.most_header for served in self._ready.values()), default=LEAST_BOUND)

    def let_go(self, served: ServedVersion, then: Callable[[], None] = lambda: None) -> threading.Thread:
        """Close a version that is in the table no more, once its last request is answered; `then` hears of it.

        The thread that waits for it is the answer: a run that hangs holds up nobody else.
        """
        thread = threading.Thread(target=self._close, args=(served, then), daemon=True, name="let-go")
        self._leaving[served] = thread
        thread.start()
        return thread

    def _close(self, served: ServedVersion, then: Callable[[], None]) -> None:
        served.close()
        return_freed_memory()
        del self._leaving[served]
        then()

    @property
    def leaving(self) -> list[ServedVersion]:
        """The versions that are in the table no more and not closed yet."""
        return list(self._leaving)

    @property
    def quiet(self) -> bool:
        """True while no request waits or runs."""
        return all(served.engine.quiet for served in [*self.served(), *self.leaving])

    def close(self) -> None:
        """Finish what waits and close every version."""
        served = self.served()
        self.entries, self._ready = {}, {}
        for version in served:
            self.let_go(version)
        for thread in list(self._leaving.values()):
            thread.join()


def _ready_table(entries: Mapping[str, ModelEntry]) -> dict[tuple[str, str], ServedVersion]:
    """(model, version) -> who answers; the version "" is the default."""
    table = {}
    for name, entry in entries.items():
        for version, held in entry.versions.items():
            if held.served:
                table[name, version] = held.served
        if entry.default and (default := entry.versions[entry.default].served):
            table[name, ""] = default
    return table
