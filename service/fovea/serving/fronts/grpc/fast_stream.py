"""Calls on the fast lane that are answered by message after message: streams of requests, and watchers of health."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sized
from typing import Any

from grpc._cython import cygrpc

from fovea.serving.fronts.grpc.fast_call import NO_FLAGS, Accept, FastCall, got
from fovea.serving.fronts.grpc.streams import DRAINING, Streams


class _Conversation(FastCall):
    """One message is on its way at a time: gRPC takes no second one before."""

    __slots__ = ()

    @property
    def is_owed_an_answer(self) -> bool:
        """Never: there is no last message, or its requests are counted one by one."""
        return False

    def _send_message(self, message: bytes, on_sent: Callable[[Any], bool]) -> None:
        operations: list[Any] = [] if self._begun else [cygrpc.SendInitialMetadataOperation(None, NO_FLAGS)]
        self._begun = True
        operations.append(cygrpc.SendMessageOperation(message, NO_FLAGS))
        self._core.start_server_batch(operations, on_sent)


class FastStream(_Conversation):
    """The transport of a stream, and its call."""

    __slots__ = ("_stream", "_streams")

    def __init__(self, core: Any, deadline: float, streams: Streams, open_calls: Sized) -> None:
        super().__init__(core, deadline, streams.infer, open_calls)
        self._received = True  # a stream may be idle: nobody waits for its messages
        self._streams = streams
        self._stream = streams.new(self.deadline_s, self)

    def listen(self) -> None:
        """Let the stream begin, where there is room for it."""
        refusal = self._streams.open(self._stream)
        if refusal is not None:
            self.turn_away(*refusal)
            return
        self.watch()
        self._stream.begin()

    def receive(self) -> None:
        """Ask gRPC for the next message."""
        self._core.start_server_batch((cygrpc.ReceiveMessageOperation(NO_FLAGS),), self._on_message)

    def send(self, message: bytes) -> None:
        """Send a serialized message."""
        self._send_message(message, self._on_message_sent)

    def end(self, *, all_read: bool) -> None:
        """Send the status that ends the call."""
        if not all_read:
            self.refuse(*DRAINING)
        elif got(self._claim):
            self._send(None, cygrpc.StatusCode.ok, b"")

    def give_up(self) -> bool:
        """After an event of it was lost: end it."""
        self._streams.close(self._stream)
        self._stream.lose()
        return super().give_up()

    def _on_message(self, event: Any) -> bool:
        self._stream.received(event.batch_operations[0].message())
        return self._done()

    def _on_message_sent(self, _event: Any) -> bool:
        self._stream.sent()
        return self._done()

    def _on_close(self, event: Any) -> bool:
        self._streams.close(self._stream)
        return super()._on_close(event)

    def _done(self) -> bool:
        return super()._done() and not self._stream.busy


class FastWatch(_Conversation):
    """A call that is told something again and again, until its caller leaves.

    A caller may read slowly, or never: one message is on its way, and of those that come meanwhile the last is kept.
    """

    __slots__ = ("_lock", "_on_its_way", "_untold")

    def __init__(self, core: Any, deadline: float, accept: Accept, open_calls: Sized) -> None:
        super().__init__(core, deadline, accept, open_calls)
        self._lock = threading.Lock()
        self._untold: bytes | None = None
        self._on_its_way = False

    def give_up(self) -> bool:
        """After an event of it was lost: end it."""
        self._on_its_way = False
        return super().give_up()

    def tell(self, body: bytes) -> None:
        """Send a message, and leave the call open."""
        with self._lock:
            self._untold = body
            if not (self._on_its_way or self._closed):
                self._tell()

    def _tell(self) -> None:
        message, self._untold = self._untold, None
        if message is not None:
            self._on_its_way = True
            self._send_message(message, self._on_told)

    def _on_told(self, _event: Any) -> bool:
        with self._lock:
            self._on_its_way = False
            if self._untold is not None and not self._closed:
                self._tell()
            return self._done()

    def _on_close(self, event: Any) -> bool:
        with self._lock:  # once it is closed nothing more is sent, and it may be forgotten
            return super()._on_close(event)

    def _done(self) -> bool:
        return super()._done() and not self._on_its_way
