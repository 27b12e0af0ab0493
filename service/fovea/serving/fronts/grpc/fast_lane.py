"""Calls taken in by gRPC's own serving loop: no thread hand-over between the socket and the queue.

All that touches grpcio's private parts is in this file, in `fast_call` and in `fast_stream`. A public `grpc.server`
runs as ever; only the function that polls its completion queue is ours. It takes the events of some methods, and leaves
every other to grpcio. Compared with a handler in the thread pool this spares two thread switches a request and about
two thirds of its time; and a call that is opened and sends nothing holds no thread.

`obstacle()` tells whether this grpcio is the one it was written for. Where it is not, the server registers an
ordinary handler instead (`pooled_lane`): slower, same answers.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from types import MethodType
from typing import Any

import grpc
from grpc import _server
from grpc._cython import cygrpc

from fovea.serving.fronts.grpc.fast_call import Accept, FastCall, refuse_unseen
from fovea.serving.fronts.grpc.fast_stream import FastStream, FastWatch
from fovea.serving.fronts.grpc.stand_ins import StandIns
from fovea.serving.fronts.grpc.status import UNFORESEEN
from fovea.serving.fronts.grpc.streams import Streams

log = logging.getLogger(__name__)

Gate = Callable[[str, Any], tuple[grpc.StatusCode, str] | None]
"""From a call's path and metadata to why it is not let in, or None."""

_POLL_S = 1.0
_TURNS_PER_SIGN = 64
"""Of life, for those who would stand in for the loop: in less than 10 ms where it has much to do."""
_SERVER_NAMES = (
    *("_serve", "_start", "_process_event_and_continue"),
    *("_request_call", "_request_registered_call", "_begin_shutdown_once", "_stop_serving", "_ServerStage"),
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
    missing += [] if hasattr(_server, "_REQUEST_CALL_TAG") else ["_REQUEST_CALL_TAG"]
    missing += [name for name in _STATE_NAMES if name not in getattr(_server._ServerState, "__annotations__", {})]
    missing += [name for name in _CORE_NAMES if not hasattr(cygrpc, name)]
    if missing:
        return f"grpcio {grpc.__version__} has no {missing[0]}"
    parameters = [list(inspect.signature(getattr(_server, name)).parameters) for name in _SERVER_NAMES[:3]]
    if parameters != [["state"], ["state"], ["state", "event"]]:
        return f"grpcio {grpc.__version__} serves in another way"
    return None


@dataclass(frozen=True)
class Doors:
    """Where the lane hands calls to."""

    accepts: Mapping[str, Accept]
    """Path of a registered method -> who takes a call that is answered once."""
    watches: Mapping[str, Accept]
    """The same for calls that are told something again and again."""
    streams: Mapping[str, Streams]
    """The same for streams of requests."""
    gate: Gate | None
    keeps_metadata: bool
    """Calls are to keep what their callers sent beside messages."""
    on_fault: Callable[[], None]
    """Called where an event could not be handled."""


def start(server: grpc.Server, doors: Doors) -> Lane:
    """Start a server whose calls of these methods go where `doors` says."""
    lane = Lane(doors)
    ordinary = _server._serve
    _server._serve = lane.serve
    try:
        server.start()
    finally:
        _server._serve = ordinary
    return lane


class Lane:
    """The serving loop of one server. Nothing that happens in it ends it, but the server's end.

    Others stand in for it while a connection keeps it to itself. So events may be handled by several threads at once;
    those of grpcio's own calls are not: it expects one.
    """

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._kinds: dict[str, tuple[Callable[[Any, float, Any, Sized], FastCall], Any]] = {
            **{path: (FastCall, accept) for path, accept in doors.accepts.items()},
            **{path: (FastWatch, accept) for path, accept in doors.watches.items()},
            **{path: (FastStream, streams) for path, streams in doors.streams.items()},
        }
        """Path -> what its calls are, and where they go."""
        self._state: Any = None
        self._handling_its_own = threading.Lock()
        self._turns = 0
        self._stand_ins = StandIns(lambda: self._turns, lambda: self._poll(0.0))
        self._over = False

    def serve(self, state: Any) -> None:
        """Poll until the server has stopped, as grpcio's own loop does."""
        self._state = state
        self._stand_ins.start()
        try:
            self._poll(_POLL_S)
        finally:
            self._stand_ins.end()

    def _poll(self, wait_s: float) -> None:
        """Handle events until the server has stopped, or, where there is no wait, until there are none."""
        poll, kinds = self._state.completion_queue.poll, self._kinds
        until_s = 0.0
        while not self._over:
            event = tag = None  # a kept event keeps its call, and a call that is shutting down would spin the poll
            try:
                event = poll(until_s)
                self._turns = turns = self._turns + 1
                tag = event.tag
                if type(tag) is MethodType and isinstance(tag.__self__, FastCall):
                    if tag(event) and self._end(tag.__self__):
                        self._over = True
                elif tag in kinds and event.success:
                    self._begin(tag, event)
                elif not self._was_there(event):
                    if not wait_s:
                        return
                    until_s = time.time() + wait_s
                if not turns % _TURNS_PER_SIGN and wait_s:
                    self._stand_ins.loop_turns()
                    until_s = time.time() + wait_s
            except Exception:
                self._survive(event)

    def _was_there(self, event: Any) -> bool:
        """Let grpcio handle an event of its own; False where it only says that there was none."""
        if self._state.server_deallocated:
            _server._begin_shutdown_once(self._state)
        if event.completion_type == cygrpc.CompletionType.queue_timeout:
            return False
        with self._handling_its_own:
            if not _server._process_event_and_continue(self._state, event):
                self._over = True
        return True

    def unanswered(self) -> list[FastCall]:
        """The calls whose request has been taken in and whose answer has not been sent."""
        return [call for call in self._open() if call.is_owed_an_answer]

    def unread(self) -> list[FastCall]:
        """The calls whose message has been asked for and is not here."""
        return [call for call in self._open() if not call.is_read]

    def _open(self) -> list[FastCall]:
        calls = self._state.rpc_states.copy() if self._state else ()
        return [call for call in calls if isinstance(call, FastCall)]

    def _begin(self, path: str, event: Any) -> None:
        state = self._state
        kind, target = self._kinds[path]
        call = kind(event.call, event.call_details.deadline, target, state.rpc_states)
        with state.lock:
            state.due.remove(path)
            state.rpc_states.add(call)
            if state.stage is _server._ServerStage.STARTED:
                _server._request_registered_call(state, path)
        if self._doors.keeps_metadata:
            call.metadata = event.invocation_metadata
        gate = self._doors.gate
        try:
            refusal = gate(path, event.invocation_metadata) if gate else None
            call.listen() if refusal is None else call.turn_away(*refusal)
        except Exception:
            call.turn_away(*UNFORESEEN)
            raise

    def _end(self, call: FastCall) -> bool:
        """Forget a call that is done; True where it was the last of a server that is stopping."""
        state = self._state
        state.rpc_states.discard(call)
        if state.stage is _server._ServerStage.STARTED:
            return False  # should it begin to stop just now, the event that says so comes later and is looked at then
        with state.lock:
            return bool(_server._stop_serving(state))

    def _survive(self, event: Any) -> None:
        """Tell of the exception at hand, end the call that it befell, and go on."""
        log.exception("an event of gRPC could not be handled")
        try:
            self._doors.on_fault()
            self._over |= event is not None and self._make_good(event)
        except Exception:
            log.exception("nor could its call be ended")

    def _make_good(self, event: Any) -> bool:
        state, tag = self._state, event.tag
        call = getattr(tag, "__self__", None)
        if isinstance(call, FastCall):
            return call.give_up() and self._end(call)
        if tag is _server._REQUEST_CALL_TAG or tag in state.registered_method_handlers:
            with state.lock:
                if tag not in state.due and state.stage is _server._ServerStage.STARTED:
                    _ask_for_another(state, tag)
            if tag not in self._kinds and event.success:
                refuse_unseen(event.call)
        return False


def _ask_for_another(state: Any, tag: Any) -> None:
    """gRPC hands out one call of a kind for each time that it is asked to."""
    if tag is _server._REQUEST_CALL_TAG:
        _server._request_call(state)
    else:
        _server._request_registered_call(state, tag)
