"""Broken and hostile versions, dropped into a repository that serves: refused with a reason, nothing read outside."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import grpc
from tests.raw_client import RawClient
from tests.servers import RunningServer, running_server
from tests.torture.access import watched
from tests.torture.effort import Run
from tests.torture.hostile_versions import HOSTILE, WHOLE, outside_folder
from tests.torture.models import steady_model
from tests.torture.neighbours import answers_right, neighbours
from tests.torture.report import Promise, Report, at_most, none_of
from tests.torture.watch import census, given_back, peak_memory, settles, unforeseen

_MOST_MB = 1024.0
"""What a version may take in the server itself on its way to being refused; each is tried in a process of its own."""
_MEMORY_MB = 256.0
_WITHIN_S = 240.0
_GOOD = "whole"


def run(given: Run) -> Report:
    """Drop them in one after another, then mend one; neighbours call throughout."""
    repository, outside = steady_model(given.scratch / "repository"), given.scratch / "outside"
    secrets = outside_folder(outside)
    ready = _written(given.scratch / "elsewhere", outside)
    flags = ("--control-mode=poll", "--poll-s=0.2", "--log-level=warning")
    with running_server(repository, *flags) as server, neighbours(server) as beside:
        before = census(server)
        with watched(secrets) as access, peak_memory(server) as peak:
            for model in ready:
                model.rename(repository / model.name)
            states = _states_when_settled(server)
        shutil.rmtree(repository / "damaged" / "1")
        shutil.copytree(WHOLE, repository / "damaged" / "1")
        mended = settles(lambda: _states(server).get("damaged", ("", ""))[0] == "READY")
        promises = [
            none_of("every hostile version is refused, with its reason", _not_refused(states)),
            none_of("nothing outside the repository is opened or read", sorted(set(access.touched))),
            Promise("a whole version beside them is served", str(states[_GOOD]), states[_GOOD][0] == "READY"),
            Promise("a version that is mended is served", str(mended), mended),
            at_most("memory of the server itself meanwhile", peak.grown_mb, _MOST_MB, "MB more"),
            none_of("nothing unforeseen is logged", unforeseen(server)),
            answers_right(server, "hostile versions"),
            given_back(server, before, _MEMORY_MB, "hostile versions"),
        ]
    figures: dict[str, float | str] = {name: reason for name, (_, reason) in states.items() if name in HOSTILE}
    figures |= {"hostile versions": len(HOSTILE), "neighbours' slowest, ms": beside.slowest_s * 1000}
    return Report("hostile", figures, (*promises, beside.promise()))


def _written(folder: Path, outside: Path) -> list[Path]:
    """The models' folders, as deep as those of the repository, so that links among them lead where they are to lead."""
    for name, write in HOSTILE.items():
        write(folder / name / "1", outside)
    shutil.copytree(WHOLE, folder / _GOOD / "1")
    return sorted(folder.iterdir())


def _states_when_settled(server: RunningServer) -> dict[str, tuple[str, str]]:
    """What the repository index says of each model, once it has made up its mind on all."""
    names = {*HOSTILE, _GOOD}

    def decided() -> bool:
        states = _states(server)
        return all(states.get(name, ("", ""))[0] in ("READY", "UNAVAILABLE") for name in names)

    settles(decided, _WITHIN_S)
    return {name: _states(server).get(name, ("not listed", "")) for name in sorted(names)}


def _states(server: RunningServer) -> dict[str, tuple[str, str]]:
    with grpc.insecure_channel(server.grpc) as channel:
        index: Any = RawClient(channel)("RepositoryIndex", timeout=60)
    return {entry.name: (entry.state, entry.reason) for entry in index.models}


def _not_refused(states: dict[str, tuple[str, str]]) -> list[str]:
    found = {name: states[name] for name in HOSTILE}
    return [
        f"{name}: {state} {reason}" for name, (state, reason) in found.items() if state != "UNAVAILABLE" or not reason
    ]
