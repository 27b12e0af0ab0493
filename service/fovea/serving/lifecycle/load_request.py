"""A model that a caller wants loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fovea.contract.errors import InvalidRequest, ModelBroken, Unsupported
from fovea.runtime.repository import ModelFolder
from fovea.serving.lifecycle.triton_config import configured_of


@dataclass(frozen=True)
class LoadRequest:
    """A model to load: from the repository, or from `files` alone where there are some."""

    name: str
    config: Any = None
    """A ModelConfig, which goes before the model's own model.toml or config.pbtxt."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """"<version>/<name>", or "<name>" of a file that all versions share, such as labels -> content."""

    def configured(self, folder: ModelFolder) -> ModelFolder:
        """The folder, with what this request's configuration says in the place of what the folder's files say."""
        if self.config is None:
            return folder
        try:
            said = configured_of(self.config, folder.path)
        except (ModelBroken, Unsupported) as error:
            raise InvalidRequest(f"failed to load '{self.name}': parameter 'config': {error}") from error
        return replace(folder, choices=said.choices, declared=said.declared, problem=None, unsupported=False)
