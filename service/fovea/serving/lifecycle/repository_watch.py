"""Which models of a repository have changed: by the look of their files, once these have come to rest."""

from __future__ import annotations

from pathlib import Path

from fovea.runtime.names import shown_name
from fovea.runtime.repository import ModelFolder, model_folder, model_paths
from fovea.runtime.stamps import Stamp, model_stamp
from fovea.serving.lifecycle.triton_config import read_config


class RepositoryWatch:
    """Compares each look with the one before. A look at files that rest reads none of them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: dict[str, Stamp] = {}
        """Model folder -> its stamp at the last look."""
        self._told: dict[str, Stamp] = {}
        """When the model was last told of."""

    def begin(self) -> None:
        """What is there now needs no telling. Misconfigured where the repository cannot be read."""
        self._seen = self._told = {name: model_stamp(path) for name, path in self._paths().items()}

    def _paths(self) -> dict[str, Path]:
        return {shown_name(path.name): path for path in model_paths(self._root)}

    def changed(self) -> dict[str, ModelFolder | None]:
        """The models that differ from when they were last told of; None for one that is gone.

        Each is told of once two looks in a row see the same, so that neither a copy under way nor a folder that is
        moved out for its successor is taken for the end of it. Misconfigured where the repository cannot be read.
        """
        paths = self._paths()
        now = {name: model_stamp(path) for name, path in paths.items()}
        resting = [name for name in {**self._told, **now} if now.get(name) == self._seen.get(name)]
        news = [name for name in resting if now.get(name) != self._told.get(name)]
        folders = {name: model_folder(paths[name], read_config) for name in news if name in paths}
        self._seen = now
        kept = {name: stamp for name, stamp in self._told.items() if name not in news}
        self._told = kept | {name: now[name] for name in news if name in now}
        return {name: folders.get(name) for name in news}
