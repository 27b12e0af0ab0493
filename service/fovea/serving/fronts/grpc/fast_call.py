"""A call on the fast lane that is answered once: gRPC's core, without a thread.

With `fast_lane` and `fast_stream`, all that touches grpcio's private parts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sized
from typing import Any

import grpc
from grpc import _common
from grpc._cython import cygrpc

from fovea.serving.fronts.grpc.deadlines import NEVER_S, deadline_after
from fovea.serving.fronts.grpc.status import UNFORESEEN

log = logging.getLogger(__name__)

Accept = Callable[[Any, bytes], None]
"""Called with a call and a request's bytes; must not block."""

NO_FLAGS = 0


class FastCall:
    """One call on the lane.

    The loop's thread, or one that stands in for it, runs the `_on_…` callbacks, any thread `watch`, `finish` or
    `refuse`. Who answers holds the only claim; a cancelled call's claim is taken by the loop. A callback returns True
    once the call is done with; of two that run at once, both may.

    gRPC tells of the caller's end when it is asked to. That is a batch of operations and an event more, a tenth of
    what a call costs here, so it is asked together with the answer, or before where `watch` is called.
    """

    __slots__ = (
        *("_accept", "_begun", "_claim", "_closed", "_core", "_open", "_received", "_sent", "_unwatched", "_withdrawn"),
        *("deadline_s", "gone", "metadata", "seen_s"),
    )
    rpc = "ModelInfer"

    def __init__(self, core: Any, deadline: float, accept: Accept, open_calls: Sized) -> None:
        """`open_calls`: those of its lane, this one among them."""
        self._core, self._accept, self._open = core, accept, open_calls
        self.deadline_s = None if deadline > NEVER_S else deadline_after(deadline - time.time())  # most have none
        self.gone = False
        self.metadata: Any = ()
        self.seen_s: float | None = None
        self._claim, self._unwatched = [True], [True]  # list.pop is atomic: one thread gets it
        self._begun = self._closed = self._received = self._sent = self._withdrawn = False

    @property
    def over(self) -> bool:
        """True once nothing more of it is to come."""
        return self._done()

    @property
    def alone(self) -> bool:
        """Whether no other call is open on its lane."""
        return len(self._open) == 1

    @property
    def is_read(self) -> bool:
        """Whether its message is here, or not asked for."""
        return self._received

    @property
    def is_owed_an_answer(self) -> bool:
        """Whether its caller waits for one."""
        return self._received

    def listen(self) -> None:
        """Ask gRPC for the call's message."""
        self._core.start_server_batch((cygrpc.ReceiveMessageOperation(NO_FLAGS),), self._on_message)

    def turn_away(self, code: grpc.StatusCode, text: str) -> None:
        """Send an error without asking for the message."""
        self._received = True
        self.refuse(code, text)

    def watch(self) -> None:
        """Keep `gone` up to date from now on."""
        if got(self._unwatched):
            self._core.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(NO_FLAGS),), self._on_close)

    def finish(self, body: bytes) -> None:
        """Send the serialized answer."""
        if got(self._claim):
            self._send(cygrpc.SendMessageOperation(body, NO_FLAGS), cygrpc.StatusCode.ok, b"")

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        """Send an error."""
        details = text.encode("utf-8", "replace")  # nothing may fail once the claim is taken
        if got(self._claim):
            self._send(None, _common.STATUS_CODE_TO_CYGRPC_STATUS_CODE[code], details)

    def give_up(self) -> bool:
        """After an event of it was lost: end it. True once it is done with, as from a callback."""
        self._closed = self._received = True
        if self._claim:
            self.refuse(*UNFORESEEN)
        else:
            self._sent = True
        return self._done()

    def _send(self, body: Any, code: Any, text: bytes) -> None:
        # Operations belong to one call: sharing them between calls frees them twice.
        operations: list[Any] = [] if self._begun else [cygrpc.SendInitialMetadataOperation(None, NO_FLAGS)]
        if body is not None:
            operations.append(body)
        operations.append(cygrpc.SendStatusFromServerOperation(None, code, text, NO_FLAGS))
        on_sent = self._on_sent
        if got(self._unwatched):
            operations.append(cygrpc.ReceiveCloseOnServerOperation(NO_FLAGS))
            on_sent = self._on_sent_and_closed
        self._core.start_server_batch(operations, on_sent)

    def _on_message(self, event: Any) -> bool:
        self._received = True
        data = event.batch_operations[0].message()
        if data is not None:
            try:
                self._accept(self, data)
            except Exception:
                log.exception("a request could not be taken in")
                self.refuse(*UNFORESEEN)
        else:
            self.refuse(grpc.StatusCode.INVALID_ARGUMENT, "the call ended without a message")
        return self._closed and self._done()

    def _on_close(self, event: Any) -> bool:
        self._closed = True
        if event.batch_operations[0].cancelled():
            self.gone = True
            self._withdrawn = got(self._claim)
        return self._done()

    def _on_sent(self, _event: Any) -> bool:
        self._sent = True
        return self._done()

    def _on_sent_and_closed(self, _event: Any) -> bool:
        self._sent = self._closed = True
        return self._received and self._done()

    def _done(self) -> bool:
        return self._closed and self._received and (self._sent or self._withdrawn)


def refuse_unseen(core: Any) -> None:
    """End a call that nobody has taken in."""
    code, text = UNFORESEEN
    status = cygrpc.SendStatusFromServerOperation(
        None, _common.STATUS_CODE_TO_CYGRPC_STATUS_CODE[code], text.encode(), NO_FLAGS
    )
    core.start_server_batch((cygrpc.SendInitialMetadataOperation(None, NO_FLAGS), status), lambda _: (None, ()))


def got(claim: list[bool]) -> bool:
    """Whether a claim is the caller's: the first thread that asks gets it."""
    try:
        return claim.pop()
    except IndexError:
        return False
