"""Unary calls taken in by gRPC's own serving loop: no thread hand-over between the socket and the queue.

All that touches grpcio's private parts is in this file. A public `grpc.server` runs as ever; only the function that
polls its completion queue is ours. It takes the events of some methods, and leaves every other to grpcio. Compared
with a handler in the thread pool this spares two thread switches a request and about two thirds of its time; and a
call that is opened and sends nothing holds no thread.

`obstacle()` tells whether this grpcio is the one it was written for. Where it is not, the server registers an
ordinary handler instead (`pooled_lane`): slower, same answers.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from grpc import _common, _server
from grpc._cython import cygrpc

from fovea.serving.deadlines import NEVER_S, deadline_after

log = logging.getLogger(__name__)

Accept = Callable[[Any, bytes], None]
"""Called with a call and a request's bytes; must not block."""
Gate = Callable[[str, Any], tuple[grpc.StatusCode, str] | None]
"""From a call's path and metadata to why it is not let in, or None."""

_POLL_S = 1.0
_NO_FLAGS = 0
_SERVER_NAMES = (
    *("_serve", "_start", "_process_event_and_continue"),
    *("_request_registered_call", "_begin_shutdown_once", "_stop_serving", "_ServerStage"),
)
_STATE_NAMES = (
    *("lock", "completion_queue", "registered_method_handlers", "rpc_states"),
    *("due", "stage", "server_deallocated"),
)
_CORE_NAMES = (
    *("ReceiveCloseOnServerOperation", "ReceiveMessageOperation", "SendInitialMetadataOperation"),
    *("SendMessageOperation", "SendStatusFromServerOperation"),
)


def obstacle() -> str | None:
    """Why the fast lane cannot be used with the grpcio that is installed; None where it can."""
    missing = [name for name in _SERVER_NAMES if not callable(getattr(_server, name, None))]
    missing += [name for name in _STATE_NAMES if name not in getattr(_server._ServerState, "__annotations__", {})]
    missing += [name for name in _CORE_NAMES if not hasattr(cygrpc, name)]
    if missing:
        return f"grpcio {grpc.__version__} has no {missing[0]}"
    parameters = [list(inspect.signature(getattr(_server, name)).parameters) for name in _SERVER_NAMES[:3]]
    if parameters != [["state"], ["state"], ["state", "event"]]:
        return f"grpcio {grpc.__version__} serves in another way"
    return None


def start(server: grpc.Server, accepts: Mapping[str, Accept], gate: Gate | None = None) -> Lane:
    """Start a server whose calls of registered methods go where `accepts` says, by path, if the gate lets them in."""
    lane = Lane(accepts, gate)
    ordinary = _server._serve
    _server._serve = lane.serve
    try:
        server.start()
    finally:
        _server._serve = ordinary
    return lane


class Lane:
    """The serving loop of one server."""

    def __init__(self, accepts: Mapping[str, Accept], gate: Gate | None = None) -> None:
        self._accepts, self._gate = accepts, gate
        self._state: Any = None

    def serve(self, state: Any) -> None:
        """Poll until the server has stopped, as grpcio's own loop does."""
        self._state = state
        poll, process = state.completion_queue.poll, _server._process_event_and_continue
        timed_out = cygrpc.CompletionType.queue_timeout
        while True:
            event = poll(time.time() + _POLL_S)
            if state.server_deallocated:
                _server._begin_shutdown_once(state)
            tag = event.tag
            if isinstance(getattr(tag, "__self__", None), FastCall):
                if tag(event) and self._end(tag.__self__):
                    return
            elif tag in self._accepts and event.success:
                self._begin(tag, event)
            elif event.completion_type != timed_out and not process(state, event):
                return
            event = tag = None  # a kept event keeps its call, and a call that is shutting down would spin the poll

    def unanswered(self) -> list[FastCall]:
        """The calls whose request has been taken in and whose answer has not been sent."""
        calls = self._state.rpc_states.copy() if self._state else ()
        return [call for call in calls if isinstance(call, FastCall) and call.taken_in]

    def _end(self, call: FastCall) -> bool:
        """Forget a call that is done; True where it was the last of a server that is stopping."""
        state = self._state
        state.rpc_states.remove(call)
        if state.stage is _server._ServerStage.STARTED:
            return False  # should it begin to stop just now, the event that says so comes later and is looked at then
        with state.lock:
            return bool(_server._stop_serving(state))

    def _begin(self, path: str, event: Any) -> None:
        state = self._state
        call = FastCall(event.call, event.call_details.deadline, self._accepts[path])
        with state.lock:
            state.due.remove(path)
            state.rpc_states.add(call)
            if state.stage is _server._ServerStage.STARTED:
                _server._request_registered_call(state, path)
        refusal = self._gate(path, event.invocation_metadata) if self._gate else None
        call.listen() if refusal is None else call.turn_away(*refusal)


class FastCall:
    """One call on the lane.

    The loop's thread runs the `_on_…` callbacks, any thread `watch`, `finish` or `refuse`. Who answers holds the
    only claim; a cancelled call's claim is taken by the loop. A callback returns True once the call is done with.

    gRPC tells of the caller's end when it is asked to. That is a batch of operations and an event more, a tenth of
    what a call costs here, so it is asked together with the answer, or before where `watch` is called.
    """

    __slots__ = (
        *("_accept", "_claim", "_closed", "_core", "_received", "_sent", "_unwatched", "_withdrawn"),
        *("deadline_s", "gone", "over"),
    )

    def __init__(self, core: Any, deadline: float, accept: Accept) -> None:
        self._core, self._accept = core, accept
        self.deadline_s = None if deadline > NEVER_S else deadline_after(deadline - time.time())  # most have none
        self.gone = self.over = False
        self._claim, self._unwatched = [True], [True]  # list.pop is atomic: one thread gets it
        self._closed = self._received = self._sent = self._withdrawn = False

    @property
    def taken_in(self) -> bool:
        """Whether its message is here."""
        return self._received

    def listen(self) -> None:
        """Ask for the message."""
        self._core.start_server_batch((cygrpc.ReceiveMessageOperation(_NO_FLAGS),), self._on_message)

    def turn_away(self, code: grpc.StatusCode, text: str) -> None:
        """Send an error without asking for the message."""
        self._received = True
        self.refuse(code, text)

    def watch(self) -> None:
        """Keep `gone` up to date from now on."""
        if _got(self._unwatched):
            self._core.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),), self._on_close)

    def finish(self, body: bytes) -> None:
        """Send the serialized answer."""
        if _got(self._claim):
            self._send(cygrpc.SendMessageOperation(body, _NO_FLAGS), cygrpc.StatusCode.ok, b"")

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        """Send an error."""
        details = text.encode("utf-8", "replace")  # nothing may fail once the claim is taken
        if _got(self._claim):
            self._send(None, _common.STATUS_CODE_TO_CYGRPC_STATUS_CODE[code], details)

    def _send(self, body: Any, code: Any, text: bytes) -> None:
        # Operations belong to one call: sharing them between calls frees them twice.
        operations = [cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS)]
        if body is not None:
            operations.append(body)
        operations.append(cygrpc.SendStatusFromServerOperation(None, code, text, _NO_FLAGS))
        on_sent = self._on_sent
        if _got(self._unwatched):
            operations.append(cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS))
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
                self.refuse(grpc.StatusCode.INTERNAL, "internal error; the server's log has the details")
        else:
            self.refuse(grpc.StatusCode.INVALID_ARGUMENT, "the call ended without a message")
        return self._done()

    def _on_close(self, event: Any) -> bool:
        self._closed = True
        if event.batch_operations[0].cancelled():
            self.gone = True
            self._withdrawn = _got(self._claim)
        return self._done()

    def _on_sent(self, _event: Any) -> bool:
        self._sent = True
        return self._done()

    def _on_sent_and_closed(self, _event: Any) -> bool:
        self._sent = self._closed = True
        return self._done()

    def _done(self) -> bool:
        self.over = self._closed and self._received and (self._sent or self._withdrawn)
        return self.over


def _got(claim: list[bool]) -> bool:
    try:
        return claim.pop()
    except IndexError:
        return False
