"""Loads and unloads, whichever front brought them: one after another, and all refused when the server ends."""

from __future__ import annotations

from fovea.contract.errors import Draining
from fovea.serving.answer_pool import AnswerPool
from fovea.serving.status import status_of

CHANGE_RPCS = ("RepositoryModelLoad", "RepositoryModelUnload")
MOST_CHANGES = 64
"""Each may hold the files of a model while it waits."""


class Changes(AnswerPool):
    """The calls that ask for them, and the one thread that runs them. May be used by any thread."""

    def __init__(self) -> None:
        super().__init__("load and unload", 1, MOST_CHANGES)

    def refuse(self) -> None:
        """Answer those that are going on or wait their turn: nobody waits for models any more."""
        for call in self.calls:
            call.refuse(*status_of(Draining()))
