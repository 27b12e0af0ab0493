"""One stream of ModelStreamInfer: when it reads, what it sends, and when it ends, on whatever lane.

Its requests run side by side. It reads on for as long as there is room for more answers, so who does not read is not
read from either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple, Protocol

from fovea.serving.fronts.grpc.stream_call import StreamCall
from fovea.serving.fronts.grpc.stream_order import Ready, StreamOrder

Infer = Callable[[Any, bytes], None]
"""Takes a call and a request's bytes; never raises, never blocks."""


class StreamTransport(Protocol):
    """Where a stream's messages come from and go to. Nothing here blocks."""

    metadata: Iterable[tuple[str, Any]]
    """What its caller sent beside messages."""

    def receive(self) -> None:
        """Ask for a message: `Stream.received` is called with it."""

    def send(self, message: bytes) -> None:
        """Send one: `Stream.sent` is called once it has been, and not before that is another given."""

    def end(self, *, all_read: bool) -> None:
        """After the last message: end the call, by the client's wish or since the server ends."""


@dataclass(frozen=True)
class StreamLimits:
    """What streams may take: memory, above all for those that read slower than they write."""

    streams: int = 64
    """Most streams that may be open."""
    unanswered: int = 64
    """Most requests of one stream whose answers have not been sent; beyond it no more are read."""
    bytes: int = 64 << 20
    """The same for their size in all, where there is more than one."""


class _Steps(NamedTuple):
    """What a stream's transport is to do next."""

    message: bytes | None
    receive: bool
    end: bool


_NOTHING = _Steps(None, receive=False, end=False)


class Stream:
    """For any thread. Whatever happens to it is followed by the steps that are possible then."""

    def __init__(
        self, infer: Infer, deadline_s: float | None, limits: StreamLimits, transport: StreamTransport
    ) -> None:
        self._infer, self.deadline_s, self._limits, self._transport = infer, deadline_s, limits, transport
        self._lock = Lock()
        self._calls: dict[StreamCall, None] = {}
        """Those whose last answer has not been sent."""
        self._order = StreamOrder()
        self._ready: deque[Ready] = deque()
        self._on_its_way: Ready | None = None
        self._bytes = 0
        """Of requests that are not answered, and of answers that have not been sent."""
        self._receives = self._all_read = self._draining = self._ended = False
        self.gone = False
        """Whether its client has left."""

    @property
    def metadata(self) -> Iterable[tuple[str, Any]]:
        """What its caller sent beside messages."""
        return self._transport.metadata

    @property
    def busy(self) -> bool:
        """Whether the transport has a message to send, or to wait for."""
        return self._receives or self._on_its_way is not None

    def calls(self) -> list[StreamCall]:
        """The requests that have been read and whose last answer has not been sent."""
        return list(self._calls)

    def is_open(self, call: StreamCall) -> bool:
        """Whether a request is among them."""
        return call in self._calls

    def begin(self) -> None:
        """Ask for the first message."""
        self._go_on()

    def received(self, data: bytes | None) -> None:
        """A message has come, or None: there are no more."""
        with self._lock:
            self._receives = False
            self._all_read |= data is None
            call = None if data is None else self._begun(data)
        if call is not None and data is not None:
            self._infer(call, data)
        self._go_on()

    def _begun(self, data: bytes) -> StreamCall:
        call = StreamCall(self, data)
        self._calls[call] = None
        self._order.add(call)
        self._bytes += call.bytes
        return call

    def answers_many(self, call: StreamCall) -> None:
        """Let a request wait for none but those of its id, and none but these for it."""
        with self._lock:
            self._order.answers_many(call)
            self._ready += self._order.take_ready()
        self._go_on()

    def answer(self, call: StreamCall, message: bytes, *, final: bool) -> None:
        """Send a message when its turn comes; nothing once the last one has been given."""
        with self._lock:
            if call.ended or self.gone:
                return
            self._bytes += len(message)
            call.answers.append(message)
            if final:
                self._bytes -= call.bytes
                call.ended = True
                call.forget_request()
            elif call.answers_once:
                self._order.answers_many(call)
            self._ready += self._order.take_ready()
        self._go_on()

    def sent(self) -> None:
        """The message that was on its way has been sent, or cannot be."""
        with self._lock:
            if self._on_its_way is not None:
                message, ended = self._on_its_way
                self._on_its_way = None
                self._bytes -= len(message)
                if ended is not None:
                    self._calls.pop(ended, None)
        self._go_on()

    def drain(self) -> None:
        """Read no more, and end once everything that was read is answered."""
        with self._lock:
            self._draining = True
        self._go_on()

    def leave(self) -> None:
        """The call is over: nobody waits for answers any more."""
        with self._lock:
            self.gone = True
            self._ready.clear()

    def lose(self) -> None:
        """What was on its way will not be heard of."""
        with self._lock:
            self._receives, self._on_its_way = False, None

    def _go_on(self) -> None:
        with self._lock:
            steps = _NOTHING if self.gone or self._ended else self._next_steps()
        if steps.message is not None:
            self._transport.send(steps.message)
        if steps.receive:
            self._transport.receive()
        if steps.end:
            self._transport.end(all_read=self._all_read)

    def _next_steps(self) -> _Steps:
        message = None
        if self._on_its_way is None and self._ready:
            self._on_its_way = self._ready.popleft()
            message = self._on_its_way[0]
        receive = not self._receives and not self._all_read and not self._draining and self._has_room()
        self._receives |= receive
        self._ended = not self._calls and (self._all_read or self._draining)
        return _Steps(message, receive, self._ended)

    def _has_room(self) -> bool:
        return len(self._calls) < self._limits.unanswered and self._bytes < self._limits.bytes
