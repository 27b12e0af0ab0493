"""Weights in the cache: those of finished trainings, so that exporting again needs none, and of interrupted ones.

Training is the real way to a model; a checkpoint only repeats its result. It is found by the recipe's fingerprint:
change a recipe and it is trained anew. Delete `<cache>/trained` to train everything again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fovea.contract.errors import ExportFailed
from fovea.contract.model_card import Training
from fovea.recipes.cache import cache_dir
from fovea.recipes.recipe import Recipe, Trained, fingerprint, untrained


def checkpoint_path(recipe: Recipe[Any]) -> Path:
    """Where this recipe's weights are, or would be."""
    return cache_dir() / "trained" / f"{recipe.name}-{fingerprint(recipe)}.pt"


def save_trained(recipe: Recipe[Any], trained: Trained, path: Path | None = None) -> Path:
    """Write the weights and what was measured, in one step: a reader never sees half a file."""
    content = {
        "state_dict": trained.module.state_dict(),
        "metrics": dict(trained.metrics),
        "training": trained.training.model_dump(),
    }
    return _write(path or checkpoint_path(recipe), content)


def load_trained(recipe: Recipe[Any], path: Path | None = None) -> Trained | None:
    """What `save_trained` wrote for this very recipe, or None."""
    source = path or checkpoint_path(recipe)
    if not source.is_file():
        return None
    content = _read(source)
    module = untrained(recipe)
    module.load_state_dict(content["state_dict"])
    return Trained(module.eval(), content["metrics"], Training(**content["training"]))


class UnfinishedTraining:
    """The last whole epoch of a recipe whose training was interrupted, beside its checkpoint."""

    def __init__(self, recipe: Recipe[Any]) -> None:
        self._path = checkpoint_path(recipe).with_suffix(".unfinished")

    def load(self) -> Mapping[str, Any] | None:
        """What was saved last, or None."""
        return _read(self._path) if self._path.is_file() else None

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep this instead of what was saved before."""
        _write(self._path, state)

    def discard(self) -> None:
        """The training is finished."""
        self._path.unlink(missing_ok=True)


def _read(path: Path) -> Mapping[str, Any]:
    """ExportFailed where the disk, or a copy that was cut short, has left something else than was written."""
    try:
        content: Mapping[str, Any] = torch.load(path, weights_only=True)
    except Exception as error:  # torch and pickle raise a dozen kinds for such a file, and their words tell little
        raise ExportFailed(f"{path} is damaged: delete it, and that training is done again") from error
    return content


def _write(target: Path, content: Mapping[str, Any]) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=target.parent, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        torch.save(content, file)
    return Path(scratch).replace(target)
