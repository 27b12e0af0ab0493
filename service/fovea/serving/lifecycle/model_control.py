"""The life of models: loaded at start, swapped when their files change, and tried again where they failed.

Requests need no lock, they read the table. Whoever changes a model takes its turn; models change side by side, so that
one that takes long, or hangs, delays no other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from functools import partial

from fovea.contract.errors import Misconfigured
from fovea.runtime.repository import ModelFolder, has_models, no_model_in, scan
from fovea.serving.lifecycle.change_turns import Turns, side_by_side
from fovea.serving.lifecycle.control_settings import EVERY_MODEL, ControlSettings
from fovea.serving.lifecycle.model_entries import VersionEntry, VersionState
from fovea.serving.lifecycle.model_swap import ModelSwap, warn_of_what_is_passed_over
from fovea.serving.lifecycle.model_table import Models
from fovea.serving.lifecycle.readiness import Readiness
from fovea.serving.lifecycle.repository_watch import RepositoryWatch
from fovea.serving.lifecycle.requested_changes import NOT_LOADED, RequestedChanges
from fovea.serving.lifecycle.retries import Retries
from fovea.serving.lifecycle.served_version import ServedVersion
from fovea.serving.lifecycle.triton_config import read_config
from fovea.serving.lifecycle.upkeep import Upkeep
from fovea.serving.lifecycle.version_loader import VersionLoader

log = logging.getLogger(__name__)
_LOADING = VersionEntry(VersionState.LOADING)


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
        self._turns = Turns()
        self._swap = ModelSwap(models, loader, tell, self._closed)
        self.by_request = RequestedChanges(settings, models, self._swap, self._turns, readiness.release)
        self._watch = RepositoryWatch(settings.repository)
        self._retries = Retries()
        self._upkeep = Upkeep(self.look, self.retry, settings.poll_s, looks=settings.mode == "poll")
        self._stopped = threading.Event()

    def start(self) -> None:
        """Load what the mode says, and go on as it says. Misconfigured where that cannot be."""
        self._watch.begin()
        folders = scan(self._settings.repository, read_config)
        if not has_models(folders):
            log.warning(no_model_in(self._settings.repository))
        for folder in folders.values():
            warn_of_what_is_passed_over(folder)
        chosen = self._chosen_at_start(folders)
        self._readiness.expect(name for name in chosen if folders[name].is_meant)
        for name, folder in folders.items():
            self._swap.announce(folder, _LOADING if name in chosen else NOT_LOADED)
        loads = self._begin({name: partial(self._swap.follow, folders[name]) for name in chosen})
        if self._settings.mode != "explicit":  # there, who asked for a load hears of it and may ask again
            self._upkeep.start()
        for thread in loads:
            thread.join()

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

    def _begin(self, changes: Mapping[str, Callable[[], object]]) -> list[threading.Thread]:
        """Begin changes, by model; they are done when these threads have ended."""
        return side_by_side([partial(self._change, self._turns.of(model), change) for model, change in changes.items()])

    def _change(self, turn: AbstractContextManager[None], change: Callable[[], object]) -> None:
        """In its turn, unless the server ends before that."""
        with turn:
            if not self._stopped.is_set():
                change()

    def read_again(self) -> None:
        """Look at the repository now, and try again what has failed; back at once."""
        if self._settings.mode == "explicit":
            log.warning("nothing is read again in control mode explicit: callers load and unload")
        else:
            log.info("looking at the repository again")
            self._upkeep.wake()

    def look(self) -> list[threading.Thread]:
        """Look at the repository once, and begin to follow what has changed; that is done when these threads end."""
        return self._begin(
            {name: partial(self._follow, name, folder) for name, folder in self._watch.changed().items()}
        )

    def _follow(self, name: str, folder: ModelFolder | None) -> None:
        if folder is None:
            self._readiness.release(name)
            self._swap.unload(name)
            return
        warn_of_what_is_passed_over(folder)
        self._swap.follow(folder)

    def retry(self, now_s: float | None) -> list[threading.Thread]:
        """Begin to try again what failed for a reason that may have passed: what is due by now, or with None all."""
        failing = [name for name, entry in self._models.entries.items() if entry.failing]
        due = failing if now_s is None else self._retries.due(failing, now_s)
        return self._begin({name: partial(self._swap.retry, name) for name in due if not self._turns.is_changing(name)})

    def _closed(self, served: ServedVersion) -> None:
        self.by_request.discard(served.folder.path)

    def stop(self) -> bool:
        """Begin no change any more; False where one is going on, for which nobody should wait."""
        self._stopped.set()
        self.by_request.end()
        self._upkeep.stop()
        return self._turns.idle

    def close(self) -> None:
        """Remove the files that were sent."""
        self.by_request.close()
