"""Whether the server is ready: what it was started for has been loaded, and serves."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Literal

from fovea.runtime.repository import why_none
from fovea.serving.lifecycle.model_entries import ModelEntry
from fovea.serving.lifecycle.model_table import Models

ReadyWhen = Literal["all", "any", "loaded"]


class Readiness:
    """Which models have to serve: those chosen at start, and every one that has served since.

    So a model that comes later and cannot be loaded takes no server away from the others. One that is unloaded, or
    gone from the repository, has to serve no more.
    """

    def __init__(self, when: ReadyWhen, models: Models) -> None:
        self._when, self._models = when, models
        self._names: frozenset[str] = frozenset()
        self._unloading: frozenset[str] = frozenset()
        """Models that have to serve no more, though some of their versions may still be in the table."""
        self._lock = threading.Lock()

    def expect(self, names: Iterable[str]) -> None:
        """From now on these have to serve."""
        with self._lock:
            self._names |= frozenset(names)

    def release(self, name: str) -> None:
        """Readiness no longer waits for this model, which is unloaded now, one version after the other."""
        with self._lock:
            self._names -= {name}
            self._unloading |= {name}

    def changed(self, names: Iterable[str]) -> None:
        """Take note of models that have come to serve, or are gone."""
        with self._lock:
            for name in names:
                self._take_note(name)

    def _take_note(self, name: str) -> None:
        entry = self._models.entries.get(name)
        if entry is None:
            self._names -= {name}
        if entry is None or not entry.ready:
            self._unloading -= {name}
        elif name not in self._unloading:
            self._names |= {name}

    @property
    def missing(self) -> dict[str, str]:
        """The models that have to serve and do not, with the reason."""
        entries = self._models.entries
        owed = {name: entries[name] for name in sorted(self._names) if name in entries}
        return {name: _reason(entry) for name, entry in owed.items() if not entry.ready}

    @property
    def is_enough(self) -> bool:
        """Whether as many of them serve as have to."""
        if self._when == "loaded":
            return True
        missing = self.missing
        return not missing or (self._when == "any" and len(missing) < len(self._names))


def in_words(missing: Mapping[str, str]) -> str:
    """Names and reasons as one text."""
    return "; ".join(f"{name}: {reason}" for name, reason in missing.items())


def _reason(entry: ModelEntry) -> str:
    reasons = [f"version {version}: {held.reason or held.state}" for version, held in entry.versions.items()]
    return ", ".join(reasons) or why_none(entry.folder)
