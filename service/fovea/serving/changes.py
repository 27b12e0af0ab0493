"""Loads and unloads, whichever front brought them: one after another, and all refused when the server ends."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fovea.contract.errors import Draining
from fovea.serving.status import status_of

CHANGE_RPCS = ("RepositoryModelLoad", "RepositoryModelUnload")


class Changes:
    """The calls that ask for them, and the one thread that runs them. May be used by any thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "change")
        self._calls: set[Any] = set()

    def __contains__(self, call: Any) -> bool:
        """Whether this call's change is going on or waits its turn."""
        return call in self._calls

    def submit(self, accept: Callable[[Any, bytes], None], call: Any, data: bytes) -> None:
        """Have a call answered by `accept` when its turn comes; those that wait hold no thread."""
        self._calls.add(call)
        self._pool.submit(self._run, accept, call, data)

    def _run(self, accept: Callable[[Any, bytes], None], call: Any, data: bytes) -> None:
        try:
            accept(call, data)
        finally:
            self._calls.discard(call)

    def refuse(self) -> None:
        """Answer those that are going on or wait their turn: nobody waits for models any more."""
        for call in self._calls.copy():
            call.refuse(*status_of(Draining()))
