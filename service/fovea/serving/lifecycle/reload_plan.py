"""What a change of a model's folder asks for: which versions to load, and which to let go. Decisions only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fovea.runtime.declared import Declared
from fovea.runtime.model_toml import ServingChoices
from fovea.runtime.repository import ModelFolder, chosen_versions
from fovea.runtime.stamps import Stamp, stamp_of
from fovea.serving.lifecycle.model_entries import VersionEntry

Versions = Mapping[str, VersionEntry]


@dataclass(frozen=True)
class Source:
    """What a version is loaded from. Equal sources make equal versions."""

    folder: str
    stamp: Stamp
    choices: ServingChoices
    declared: Declared | None
    problem: str | None


def sources_of(folder: ModelFolder) -> dict[str, Source]:
    """The versions that the model's policy chooses, ascending, with what each is loaded from."""
    paths = {str(version): folder.version_path(version) for version in chosen_versions(folder)}
    return {
        version: Source(str(path), stamp_of(path), folder.choices, folder.declared, folder.problem)
        for version, path in paths.items()
    }


def to_load(wanted: Mapping[str, Source], held: Versions, *, again: bool) -> list[str]:
    """The wanted versions to load: what is new, has changed or, with `again`, failed before."""
    return [version for version, source in wanted.items() if _is_news(source, held.get(version), again=again)]


def _is_news(source: Source, held: VersionEntry | None, *, again: bool) -> bool:
    if held is None or held.source != source:
        return True
    return again and (held.served is None or bool(held.reason))


def to_let_go(wanted: Collection[str], there: Collection[str], held: Versions) -> list[str]:
    """The versions to let go after all were loaded that can be: none before another stands in for it.

    A version that is no longer chosen goes once every chosen one is ready as its files are now, one whose files are
    gone already once any is; what has no files left at all, at once.
    """
    ready = [held[version] for version in wanted if held[version].served]
    every, some = len([one for one in ready if not one.reason]) == len(wanted) > 0, bool(ready)
    replaced = {True: every, False: some or not there}
    leaving = [version for version in held if version not in wanted]
    return [version for version in leaving if not held[version].served or replaced[version in there]]
