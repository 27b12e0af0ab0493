"""The model repository: which models and versions a folder holds, and which of them are to be served.

<root>/<model>/<version>/model.onnx   versions are positive integers
<root>/<model>/model.toml             optional: how to serve it
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fovea.contract.errors import Misconfigured, ModelBroken, Unsupported
from fovea.contract.model_card import MODEL_FILE, MOST_BATCH_ROWS
from fovea.contract.sequence import SequenceChanges
from fovea.contract.validation import first_problem
from fovea.runtime.files import require_small
from fovea.runtime.names import is_silent, is_version_name, shown_name
from fovea.runtime.passed_over import looks_meant, odd_versions, why_no_model, why_no_version
from fovea.runtime.reasons import tellable
from fovea.runtime.session_choices import SessionChoices
from fovea.runtime.stated import Stated

CHOICES_FILE = "model.toml"
_MOST_CHOICES_BYTES = 64 << 10
_MOST_DOTS = 32
"""In a line: what a key of n parts takes to read grows with the square of n, and later lines may repeat it."""

Version = Annotated[int, Field(gt=0)]


class _Choices(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latest(_Choices):
    """The `latest` highest version numbers."""

    latest: int = Field(gt=0)


class ServingChoices(_Choices):
    """What `model.toml` says; the server's settings hold where it says nothing."""

    versions: Literal["latest", "all"] | Latest | tuple[Version, ...] = "latest"
    """`"latest"`, `{latest = 2}`, `"all"` or a list such as `[1, 3]`."""
    batched: bool | None = None
    """Whether requests share batches: true also where rows seem to influence each other, false in no case."""
    max_batch_rows: int | None = Field(default=None, gt=0, le=MOST_BATCH_ROWS)
    max_queue_delay_s: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)
    batch_rows: int | None = Field(default=None, gt=0, le=MOST_BATCH_ROWS)
    """Rows in a batch where that many wait, instead of as many as were measured to pay."""
    sequence: SequenceChanges | None = None
    """Which axes are lengths; goes before what the card says of the same."""
    preferred_batch_rows: tuple[Annotated[int, Field(gt=0, le=MOST_BATCH_ROWS)], ...] = ()
    """Sizes of batch to make where enough waits; a batch of such a size waits for no company."""
    max_batch_elements: int | None = Field(default=None, gt=0)
    """Most rows times padded length in a batch of sequences."""
    max_queue: int | None = Field(default=None, gt=0)
    """Most requests waiting."""
    default_timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """How long a request that says nothing may wait in the queue."""
    priority_levels: int = Field(default=0, ge=0, le=1000)
    """1 goes first; 0: the priorities that requests ask for mean nothing."""
    default_priority: int = Field(default=0, ge=0)
    """Level of a request that asks for none, or for one that there is not; 0: the last one."""
    cache: bool = False
    """Keep answers, where the server has room for them: same request, same answer, without a run."""
    instances: int = Field(default=1, gt=0, le=64)
    """Sessions, each with its own worker, per version."""
    session: SessionChoices = SessionChoices()
    """How they are opened."""

    @model_validator(mode="after")
    def _default_is_a_level(self) -> ServingChoices:
        if self.default_priority > self.priority_levels:
            raise ValueError(
                f"default_priority {self.default_priority} is above priority_levels {self.priority_levels}"
            )
        return self


@dataclass(frozen=True)
class Configured:
    """What a model folder's own file says: how to serve the model, and what its ONNX file is like."""

    choices: ServingChoices = field(default_factory=ServingChoices)
    stated: Stated | None = None


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
    stated: Stated | None = None
    unsupported: bool = False
    """The problem is that the model wants what this server does not offer: no wait will help."""
    missing: str | None = None
    """Why it has no version."""
    is_meant: bool = True
    """Whether it looks as if somebody wanted it served; of a folder without versions that may be otherwise."""
    odd_versions: tuple[str, ...] = ()
    """Folders with a model in them whose names are no version's."""

    @property
    def file(self) -> str:
        """What the model is called in its versions' folders."""
        return self.stated.file if self.stated else MODEL_FILE

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
        raise Misconfigured(tellable(f"model repository {root} cannot be read: {error.strerror}")) from error
    return [entry for entry in entries if not is_silent(entry.name) and (_is_folder(entry) or looks_meant(entry))]


def _is_folder(path: Path) -> bool:
    return path.is_dir() or not path.suffix  # files with other endings lie beside models for people to read


def model_folder(path: Path, read_foreign: ReadForeign = lambda _: None) -> ModelFolder:
    """One entry of a repository, as it is."""
    if (reason := why_no_model(path)) is not None:
        return ModelFolder(shown_name(path.name), path, (), missing=reason, is_meant=looks_meant(path))
    folder = _with_versions(path)
    try:
        configured = _own_choices(path) or read_foreign(path) or Configured()
    except (ModelBroken, Unsupported) as error:
        return replace(folder, problem=tellable(str(error)), unsupported=isinstance(error, Unsupported))
    return replace(folder, choices=configured.choices, stated=configured.stated)


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


def _own_choices(folder: Path) -> Configured | None:
    """What model.toml says; None where there is none, ModelBroken where it cannot be understood."""
    path = folder / CHOICES_FILE
    try:
        if not (path.exists() or path.is_symlink()):
            return None
        require_small(folder, CHOICES_FILE, _MOST_CHOICES_BYTES)
        return Configured(ServingChoices.model_validate(_parsed(path.read_text("utf-8"))))
    except ValidationError as error:
        problem = first_problem(error)
        raise ModelBroken(f"{path.name}: {problem.where or 'file'}: {problem.what}") from error
    except OSError as error:  # its own words would tell the whole path
        raise ModelBroken(f"{path.name} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise ModelBroken(f"{path.name}: brackets in brackets, too many deep") from error
    except ValueError as error:
        raise ModelBroken(f"{path.name}: {error}") from error


def _parsed(text: str) -> dict[str, Any]:
    """What the text says, in time that grows with its length; ValueError where it is not understood."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS:
            raise ValueError(f"line {number} has more than {_MOST_DOTS} dots")
    return tomllib.loads(text)


def why_none(folder: ModelFolder) -> str:
    """The reason why no version of a model is chosen."""
    reasons = "; ".join(filter(None, [folder.missing, folder.problem]))
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
