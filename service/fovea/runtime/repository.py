"""The model repository: which models and versions a folder holds, and which of them are to be served.

<root>/<model>/<version>/model.onnx   versions are positive integers
<root>/<model>/model.toml             optional: how to serve it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fovea.contract.errors import Misconfigured, ModelBroken, Unsupported
from fovea.contract.model_card import MODEL_FILE
from fovea.runtime.declared import Declared
from fovea.runtime.model_toml import Latest, ServingChoices, read_choices
from fovea.runtime.names import is_silent, is_version_name, shown_name
from fovea.runtime.passed_over import (
    ABSENT_VERSION,
    ODD_VERSION,
    looks_meant,
    odd_versions,
    why_no_model,
    why_no_version,
)
from fovea.runtime.printable import printable


@dataclass(frozen=True)
class Configured:
    """What a model folder's own file says: how to serve the model, and what its ONNX file is like."""

    choices: ServingChoices = field(default_factory=ServingChoices)
    declared: Declared | None = None

    @property
    def file(self) -> str:
        """What the model is called in its versions' folders."""
        return self.declared.file if self.declared else MODEL_FILE

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """Those that another server's configuration lists."""
        return tuple(spec.name for spec in self.declared.inputs) if self.declared else ()


NOTHING_SAID = Configured()

ReadForeign = Callable[[Path], Configured | None]
"""Reads another server's file in a model folder, where there is one.

ModelBroken tells what is wrong in it, Unsupported what it wants that cannot be done here.
"""


@dataclass(frozen=True)
class ModelFolder:
    """One model of the repository, or what is there in a model's place.

    `problem` tells what is wrong with its model.toml; the defaults hold then.
    """

    name: str
    path: Path
    versions: tuple[int, ...]
    """Version folders that are there, ascending."""
    choices: ServingChoices = field(default_factory=ServingChoices)
    problem: str | None = None
    declared: Declared | None = None
    unsupported: bool = False
    """The problem is that the model wants what this server does not offer: no wait will help."""
    missing: str | None = None
    """Why the folder has no version; None where it has one."""
    is_meant: bool = True
    """Whether it looks as if somebody wanted it served; of a folder without versions that may be otherwise."""
    odd_versions: tuple[str, ...] = ()
    """Folders with a model in them whose names are no version's."""

    @property
    def configured(self) -> Configured:
        """What the folder's own file says."""
        return Configured(self.choices, self.declared)

    @property
    def absent(self) -> dict[str, str]:
        """Versions that are chosen by number beside others that are there, and are not, with that reason."""
        policy, there = self.choices.versions, set(self.versions)
        absent = sorted(set(policy) - there) if isinstance(policy, tuple) and there.intersection(policy) else []
        return dict.fromkeys(map(str, absent), ABSENT_VERSION)

    @property
    def passed_over(self) -> dict[str, str]:
        """Versions that somebody may miss beside the chosen ones, with the reason; `why_none` tells where none is."""
        return dict.fromkeys(self.odd_versions, ODD_VERSION) | self.absent

    def version_path(self, version: int) -> Path:
        """The folder of one version."""
        return self.path / str(version)


def scan(root: Path, read_foreign: ReadForeign = lambda _: None) -> dict[str, ModelFolder]:
    """The models of a repository by name, in order; Misconfigured where `root` is no folder that can be read.

    What cannot be a model, or has no version, is there with the reason; hidden and temporary entries are not.
    `read_foreign` is asked about folders that have no model.toml.
    """
    folders = [model_folder(path, read_foreign) for path in model_paths(root)]
    return {folder.name: folder for folder in folders}


def has_models(folders: Mapping[str, ModelFolder]) -> bool:
    """Whether any has a version, be it one that cannot be served."""
    return any(folder.versions for folder in folders.values())


def no_model_in(root: Path) -> str:
    """What is said of a repository without models."""
    meant = repository_meant(root)
    hint = f": it is a part of one; did you mean {meant}?" if meant else ""
    return f"there is no model in the repository {root.absolute()}{hint}"


def repository_meant(root: Path) -> Path | None:
    """Where `root` is itself a model, or a version of one: the repository that this is in. Else None."""
    if (root / MODEL_FILE).exists():
        return root.absolute().parent.parent
    versions = (root / str(version) for version in _versions(root))
    return root.absolute().parent if any((folder / MODEL_FILE).exists() for folder in versions) else None


def model_paths(root: Path) -> list[Path]:
    """The entries of a repository that are models, or may be meant to be, in order; Misconfigured as `scan`."""
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise Misconfigured(printable(f"model repository {root} cannot be read: {error.strerror}")) from error
    return [entry for entry in entries if not is_silent(entry.name) and (not _is_document(entry) or looks_meant(entry))]


def _is_document(path: Path) -> bool:
    """notes.txt, LICENSE: nobody wonders why it is no model."""
    return not path.is_dir() and (path.suffix != "" or path.name.isupper())


def model_folder(path: Path, read_foreign: ReadForeign = lambda _: None) -> ModelFolder:
    """One entry of a repository, as it is."""
    if (reason := why_no_model(path)) is not None:
        return ModelFolder(shown_name(path.name), path, (), missing=reason, is_meant=looks_meant(path))
    folder = _with_versions(path)
    try:
        own = read_choices(path)
        configured = Configured(own) if own is not None else read_foreign(path) or Configured()
    except (ModelBroken, Unsupported) as error:
        return replace(folder, problem=printable(str(error)), unsupported=isinstance(error, Unsupported))
    return replace(folder, choices=configured.choices, declared=configured.declared)


def _with_versions(path: Path) -> ModelFolder:
    versions = _versions(path)
    if not versions:
        return ModelFolder(path.name, path, (), missing=why_no_version(path), is_meant=looks_meant(path))
    return ModelFolder(path.name, path, versions, odd_versions=odd_versions(path))


def _versions(path: Path) -> tuple[int, ...]:
    try:
        names = [entry.name for entry in path.iterdir() if entry.is_dir()]
    except OSError:  # gone, or not ours to read, since the folder was listed
        return ()
    return tuple(sorted(int(name) for name in names if is_version_name(name)))


def why_none(folder: ModelFolder) -> str:
    """The reason why no version of a model is chosen."""
    reasons = "; ".join(filter(None, [folder.problem, folder.missing]))
    return reasons or f"its version policy chooses none of {list(folder.versions)}"


def chosen_versions(folder: ModelFolder) -> list[int]:
    """The versions to serve, ascending: those asked for that are there."""
    policy = folder.choices.versions
    if policy == "all":
        return list(folder.versions)
    if isinstance(policy, tuple):
        return [version for version in folder.versions if version in policy]
    count = policy.latest if isinstance(policy, Latest) else 1
    return list(folder.versions[-count:])
