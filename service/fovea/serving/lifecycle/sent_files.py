"""Files of models that came with a load request: kept in a temporary folder, never in the repository."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

from fovea.contract.errors import InvalidRequest
from fovea.runtime.temporary_folders import TemporaryFolder
from fovea.serving.lifecycle.load_request import LoadRequest


class SentFiles:
    """A folder of the server's own, made when first needed: one folder in it per request, the model's in that."""

    def __init__(self) -> None:
        self._folder: TemporaryFolder | None = None
        self._making = threading.Lock()

    def write(self, request: LoadRequest) -> Path:
        """Write a request's files; the model's folder. InvalidRequest tells why they cannot be kept."""
        with self._making:
            self._folder = self._folder or TemporaryFolder()
        model = Path(tempfile.mkdtemp(dir=self._folder.path)) / request.name
        try:
            for name, content in request.files.items():
                path = model / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        except OSError as error:  # a full disk, or two names for one file
            self.discard(model)
            raise InvalidRequest(f"the files of model '{request.name}' cannot be kept: {error.strerror}") from error
        return model

    def discard(self, model: Path) -> None:
        """Remove a model's folder; one that is not in here is left alone."""
        if self._folder and model.parent.parent == self._folder.path:
            shutil.rmtree(model.parent, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder with all that was sent."""
        if self._folder:
            self._folder.remove()
            self._folder = None
