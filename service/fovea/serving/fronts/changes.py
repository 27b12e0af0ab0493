"""Loads and unloads, whichever front brought them: bounded, and all refused when the server ends."""

from __future__ import annotations

from typing import Any

from fovea.contract.errors import Draining
from fovea.serving.control.rpcs import LOAD, UNLOAD
from fovea.serving.fronts.answer_pool import Accept, AnswerPool, Call

CHANGE_RPCS = (LOAD, UNLOAD)
MOST_CHANGES = 64
"""Each may hold the files of a model while it waits."""


class Changes(AnswerPool):
    """The calls that ask for them, each with a thread: those of one model wait there for each other, and for no other.

    May be used by any thread.
    """

    def __init__(self) -> None:
        super().__init__("load and unload", MOST_CHANGES, MOST_CHANGES)
        self._ended = False

    def submit(self, accept: Accept, call: Call, asked: Any) -> None:
        """Have a call answered by `accept` when its turn comes."""
        if self._ended:
            call.send(Draining())
        else:
            super().submit(accept, call, asked)

    def refuse(self) -> None:
        """Answer those that are going on or wait their turn, and all that come: nobody waits for models any more."""
        self._ended = True
        for call in self.calls:
            call.send(Draining())
