"""Where the events of one request go."""

from __future__ import annotations

from typing import Protocol, TypeVar

from fovea.contract.errors import FoveaError

E = TypeVar("E", contravariant=True)


class Reply(Protocol[E]):
    """Takes any number of events and exactly one that is final: the last piece of an answer, or an error.

    `E` is what a piece of an answer is: a model's arrays where an engine sends it, a whole `Answer` at a front.
    """

    @property
    def gone(self) -> bool:
        """True once nobody waits for events any more; without `watch` it may become so late, or never."""

    def watch(self) -> None:
        """Keep `gone` up to date from now on; any thread, any number of times."""

    def send(self, event: E | FoveaError, final: bool = True) -> None:
        """Send an event, from any thread. An error is always final; what comes after the final event is dropped.

        Arrays may be views: they are copied, or written out, before this returns. A FoveaError that this raises says
        why a piece of an answer cannot be sent: nothing of it has been, and that error is the event to send instead.
        """
