"""Models that are loaded and unloaded by request, in control mode explicit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fovea.contract.errors import Cancelled, Draining, InvalidRequest, NotFound, Unsupported
from fovea.runtime.repository import ModelFolder, chosen_versions, model_folder, model_paths, scan, why_none
from fovea.serving.lifecycle.change_turns import Turns
from fovea.serving.lifecycle.control_settings import ControlSettings
from fovea.serving.lifecycle.load_request import LoadRequest
from fovea.serving.lifecycle.model_entries import ModelEntry, VersionEntry, VersionState
from fovea.serving.lifecycle.model_swap import ModelSwap, warn_of_what_is_passed_over
from fovea.serving.lifecycle.model_table import Models
from fovea.serving.lifecycle.sent_files import SentFiles
from fovea.serving.lifecycle.triton_config import read_config

NOT_LOADED = VersionEntry(VersionState.UNAVAILABLE, "not loaded")
_UNLOADED = VersionEntry(VersionState.UNAVAILABLE, "unloaded")


class RequestedChanges:
    """Each is back when it is done, and is not begun where `is_gone` says that its caller has left by its turn."""

    def __init__(
        self, settings: ControlSettings, models: Models, swap: ModelSwap, turns: Turns, release: Callable[[str], None]
    ) -> None:
        self._settings, self._models, self._swap, self._turns, self._release = settings, models, swap, turns, release
        self._files = SentFiles()
        self._ended = False

    def load(self, request: LoadRequest, is_gone: Callable[[], bool]) -> None:
        """Load or reload a model.

        NotFound where there is no such model, InvalidRequest where a version of it is not served, with the reason.
        """
        with self._turn(request.name, is_gone):
            folder = self._requested_folder(request)
            try:
                folder = request.configured(folder)
                warn_of_what_is_passed_over(folder)
                self._swap.follow(folder, again=True)
            finally:
                self.discard(folder.path)
            self._require_loaded(folder)

    def unload(self, name: str, is_gone: Callable[[], bool]) -> None:
        """Unload a model; back when its last request is answered, or patience has run out."""
        with self._turn(name, is_gone):
            if name not in self._models.entries:
                raise NotFound(f"failed to unload '{name}': it is unknown")
            self._release(name)
            there = (self._settings.repository / name).is_dir()
            leaving = self._swap.unload(name, _UNLOADED if there else None)
        for thread in leaving:
            thread.join(self._settings.patience_s)

    @contextmanager
    def _turn(self, model: str, is_gone: Callable[[], bool]) -> Iterator[None]:
        if self._settings.mode != "explicit":
            raise Unsupported(
                f"explicit model load / unload is not allowed in control mode {self._settings.mode}: "
                "the server must be started with --control-mode=explicit"
            )
        with self._turns.of(model):
            if self._ended:
                raise Draining
            if is_gone():
                raise Cancelled("the caller is gone")
            yield

    def _requested_folder(self, request: LoadRequest) -> ModelFolder:
        if request.files:
            return model_folder(self._files.write(request), read_config)
        paths = {path.name: path for path in model_paths(self._settings.repository)}
        if request.name not in paths:
            raise NotFound(f"failed to load '{request.name}': the repository has no such folder")
        return model_folder(paths[request.name], read_config)

    def _require_loaded(self, folder: ModelFolder) -> None:
        entry = self._models.entries.get(folder.name)
        if entry is None or not chosen_versions(folder):
            raise InvalidRequest(f"failed to load '{folder.name}': {why_none(folder)}")
        reasons = folder.absent | {version: one.reason for version, one in entry.versions.items() if one.reason}
        if reasons:
            problems = "; ".join(f"version {version}: {reason}" for version, reason in reasons.items())
            raise InvalidRequest(f"failed to load '{folder.name}': {problems}")

    def entries(self) -> Mapping[str, ModelEntry]:
        """The table, and with mode explicit also what the repository has that could be loaded."""
        if self._settings.mode != "explicit":
            return self._models.entries
        folders = scan(self._settings.repository, read_config).items()
        return {name: _unloaded_entry(folder) for name, folder in folders} | dict(self._models.entries)

    def discard(self, folder: Path) -> None:
        """Remove the files that were sent for a model, unless a version still has them."""
        if all(served.folder.path != folder for served in [*self._models.served(), *self._models.leaving]):
            self._files.discard(folder)

    def end(self) -> None:
        """Begin no further change."""
        self._ended = True

    def close(self) -> None:
        """Remove the files that were sent."""
        self._files.close()


def _unloaded_entry(folder: ModelFolder) -> ModelEntry:
    return ModelEntry(folder, {str(version): NOT_LOADED for version in chosen_versions(folder)})
