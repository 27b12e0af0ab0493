"""Traces as lines of JSON in files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fovea.serving.engines.ran_batch import RanBatch
from fovea.serving.observability.backlog import Backlog
from fovea.serving.observability.trace import TracedRequest


class TraceFile:
    """Appends traces to a file, or to its parts, a line of JSON each; a `TraceWriter`."""

    WHOLE = -1
    """Stands for the number of a part where there are none."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._backlog: Backlog[tuple[str, dict[str, Any]]] = Backlog(_append, "traces", "trace")

    def write(self, requests: Sequence[TracedRequest], _batch: RanBatch | None) -> None:
        """Append a line for each of them that is wanted in a file, soon."""
        for request in requests:
            part = request.wanted.part
            if part is not None:
                path = self.path if part == self.WHOLE else f"{self.path}.{part}"
                self._backlog.put((path, _line(request)))

    def close(self) -> None:
        """Write what waits; where a file hangs, it is left after a while."""
        self._backlog.close()


def _line(request: TracedRequest) -> dict[str, Any]:
    stamps = [{"name": name, "ns": int(at_s * 1e9)} for name, at_s in request.stamps]
    return {**request.facts, "timestamps": stamps}


def _append(line: tuple[str, dict[str, Any]]) -> None:
    path, facts = line
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(facts, ensure_ascii=False) + "\n")
