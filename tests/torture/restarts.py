"""SIGKILL in the middle of work, and a restart on the same ports: nothing is left half-written, nobody behind."""

from __future__ import annotations

import hashlib
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tests.servers import RunningServer, running_server
from tests.torture.effort import Run
from tests.torture.models import many_models
from tests.torture.neighbours import answers_right, neighbours
from tests.torture.report import Promise
from tests.torture.watch import settles

_WORK_S = 0.5


def restarts(run: Run) -> tuple[Mapping[str, float | str], list[Promise]]:
    """Kill it, start it again, several times."""
    repository = many_models(run.scratch / "restarts")
    before = _contents(repository)
    flags = [f"--{front}-port={_free_port()}" for front in ("grpc", "http", "metrics")]
    left_behind: list[str] = []
    starts_s: list[float] = []
    complaints: list[str] = []
    for _ in range(run.effort.restarts):
        begun_s = time.monotonic()
        with running_server(repository, "--control-mode=poll", "--poll-s=0.1", *flags) as server:
            starts_s.append(time.monotonic() - begun_s)
            right = answers_right(server, "restart")
            complaints += [] if right.kept else [right.found]
            left_behind += _killed_at_work(server)
    changed = _contents(repository) != before
    return {"SIGKILLs": run.effort.restarts, "slowest start on the same ports, s": max(starts_s)}, [
        Promise(
            "after SIGKILL it starts on the same ports and answers right",
            "; ".join(complaints) or "always",
            not complaints,
        ),
        Promise("after SIGKILL the repository is as it was", "changed" if changed else "unchanged", not changed),
        Promise("after SIGKILL no process of the server lives on", "; ".join(left_behind) or "none", not left_behind),
    ]


def _killed_at_work(server: RunningServer) -> list[str]:
    """The server's children that do not end with it."""
    with neighbours(server):
        time.sleep(_WORK_S)
        children = _children(server.process.pid)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(30)
    settles(lambda: not any(map(_lives, children)))
    return [f"process {child}" for child in children if _lives(child)]


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _contents(folder: Path) -> dict[str, str]:
    """Every file by its hash."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
