"""An HTTP connection: requests out of bytes, one answered at a time, and an end to waiting for callers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fovea.contract.errors import Draining
from fovea.serving.fronts.rest.bodies import Bodies
from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.framing import Head
from fovea.serving.fronts.rest.handover import Handover
from fovea.serving.fronts.rest.http_status import StatusTable
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.fronts.rest.parser import PART_MAX_BYTES, Parser
from fovea.serving.fronts.rest.refusal import Refusal
from fovea.serving.fronts.rest.responses import CONTINUE, JSON, error_body, head_of, refusal_of
from fovea.serving.fronts.rest.sender import Sender
from fovea.serving.fronts.rest.timer import Timer

Owed = Literal["head", "body", "idle"]
"""What a caller is waited for; `Patience` says how long."""
_READ_BYTES = 64 * 1024


@dataclass(eq=False)
class Shared:
    """What the connections of a server have in common; for the loop's thread."""

    loop: asyncio.AbstractEventLoop
    limits: RestLimits
    begin: Callable[[Exchange], None]
    """Is given each request once its head is here and it is its turn, to accept or to refuse it."""
    statuses: StatusTable
    handover: Handover
    bodies: Bodies
    connections: set[Connection] = field(default_factory=set)
    is_ending: bool = False
    """Each connection ends with the answer that it is at."""
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(_READ_BYTES)))
    """All read into the same: what one has read is parsed before another reads."""


class Connection(asyncio.BufferedProtocol):
    """asyncio's protocol, the parser's listener, and the `Wire` of its exchanges."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.handover = shared.handover
        self._parser = Parser(self)
        self._turns: deque[Exchange] = deque()
        """The request that is answered now, and those that were parsed with it."""
        self._rest = b""
        """What came behind them: it is looked at when it is its turn."""
        self._fault: Refusal | None = None
        """What is wrong with what was parsed last; it has its turn too."""
        self._owed: Owed | None = None
        """What the caller is waited for."""
        self._is_deaf = self._is_taking = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        shared, self._transport = self._shared, transport
        self._sender = Sender(shared.loop, transport, shared.limits)
        self._timer = Timer(shared.loop, self._lose_patience)
        shared.connections.add(self)
        self._wait_for("head")
        if len(shared.connections) > shared.limits.connections:
            self._is_deaf = True
            text = f"{shared.limits.connections} connections are open, which is the limit"
            self._say(Refusal(503, text, closes=True))
            transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_deaf = True
        self._shared.connections.discard(self)
        self._timer.close()
        self._sender.close()
        for exchange in self.open():
            exchange.gone = exchange.over = exchange.is_answered = True
            self.release(exchange)
        self._turns.clear()

    def open(self) -> list[Exchange]:
        """The requests that have come and whose answers have not been read; any thread."""
        unread = self._sender.unread
        return [*self._turns] if unread is None else [unread, *self._turns]

    def get_buffer(self, _size: int) -> memoryview:
        return self._shared.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self._is_deaf:
            data = self._shared.buffer[:nbytes]
            if self._rest:
                self._rest += data
            else:
                self._feed(data)

    def pause_writing(self) -> None:
        """Not all that was written has left this machine."""
        self._sender.pause()

    def resume_writing(self) -> None:
        """The caller has read enough for more to be written."""
        self._sender.resume()
        self._go_on()

    def on_head(self, head: Head) -> None:
        self._turns.append(Exchange(head, self))

    def on_body(self, part: bytes) -> None:
        exchange = self._turns[-1]
        if exchange.is_begun:
            self._shared.bodies.keep(exchange, part)
        else:
            exchange.parts.append(part)

    def on_end(self) -> None:
        self._turns[-1].is_complete = True

    @property
    def _is_busy(self) -> bool:
        """What comes next has to wait: for an answer, or for one to be read."""
        return bool(self._turns and self._turns[0].is_complete) or self._sender.is_unread

    def _feed(self, data: memoryview) -> None:
        for at in range(0, len(data), PART_MAX_BYTES):
            if self._is_deaf:
                return
            if self._is_busy:
                self._rest = bytes(data[at:])
                self._transport.pause_reading()
                break
            try:
                self._parser.feed(data[at : at + PART_MAX_BYTES])
            except Refusal as fault:
                self._fault = fault
            self._take_turns()
        self._wait_for_what_is_owed()

    def _go_on(self) -> None:
        """Parse what had to wait for an answer."""
        if self._is_taking:
            return
        self._take_turns()
        while self._rest and not self._is_busy and not self._is_deaf:
            rest, self._rest = self._rest, b""
            self._transport.resume_reading()
            self._feed(memoryview(rest))
        self._wait_for_what_is_owed()

    def _take_turns(self) -> None:
        """One request after another, as far as that goes without waiting. Answers that come at once end here too."""
        self._is_taking = True
        while self._turns and not self._is_deaf and not self._sender.is_unread and self._take(self._turns[0]):
            self._turns.popleft()
        self._is_taking = False
        if self._fault is not None and not self._is_deaf and not self._is_busy:
            self._end_with(self._fault)

    def _take(self, exchange: Exchange) -> bool:
        """Whether it is over, and the next may be looked at."""
        if self._fault is not None and not exchange.is_complete:  # it is what cannot be read
            return False
        if not exchange.is_begun:
            self._begin(exchange)
        if exchange.is_complete and not (exchange.is_taken or exchange.is_answered):
            exchange.is_taken = True
            self.handover.later(self._hand_on, exchange)
        return exchange.is_answered and exchange.is_complete

    def _hand_on(self, exchange: Exchange) -> None:
        if exchange.take is not None and not exchange.is_answered:
            self._guarded(exchange.take, exchange)

    def _begin(self, exchange: Exchange) -> None:
        parts, exchange.parts, exchange.is_begun = exchange.parts, [], True
        self._guarded(self._shared.begin, exchange)
        if exchange.bound is not None and exchange.head.body_bytes > exchange.bound.bytes:
            self.refuse(exchange, exchange.bound.exceeded())
        for part in parts:
            self._guarded(self._shared.bodies.keep, exchange, part)
        if exchange.head.expects_interim and not exchange.is_complete and not exchange.is_answered:
            self._sender.write(CONTINUE)

    def _guarded(self, act: Callable[..., None], exchange: Exchange, *more: object) -> None:
        try:
            act(exchange, *more)
        except Exception as error:
            self.refuse(exchange, error)

    def answer(self, exchange: Exchange, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if not exchange.is_answered:
            last = self._is_last(exchange)
            self._sender.answer(exchange, status, headers, body, last=last)
            self._answered(exchange, last)

    def refuse(self, exchange: Exchange, error: Exception) -> None:
        """Send an error; instead of the rest of an answer that has begun, cut the caller off."""
        if exchange.is_answered:
            return
        refusal = refusal_of(error, self._shared.statuses)
        exchange.refused(error)
        if exchange.is_streamed:
            self._transport.abort()
            return
        last = refusal.closes or self._is_last(exchange)
        headers, body = {**JSON, **refusal.headers}, error_body(refusal.text)
        self._sender.answer(exchange, refusal.status, headers, body, last=last)
        self._answered(exchange, last)

    def begin(self, exchange: Exchange, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of an answer whose pieces follow."""
        if not exchange.is_answered:
            exchange.is_streamed = True
            self._sender.begin(exchange, status, headers, last=self._is_last(exchange))

    def send(self, exchange: Exchange, piece: bytes, final: bool) -> None:
        if not exchange.is_answered:
            self._sender.send(exchange, piece, final=final)
            if final:
                self._answered(exchange, self._is_last(exchange))

    def release(self, exchange: Exchange) -> None:
        """Count its body as held no more."""
        self._shared.bodies.release(exchange)

    def _is_last(self, exchange: Exchange) -> bool:
        return not exchange.head.keep_alive or self._shared.is_ending

    def _answered(self, exchange: Exchange, last: bool) -> None:
        self.release(exchange)
        if not last:
            self._go_on()
        elif exchange.is_complete:
            self._is_deaf = True
            self._transport.close()
        else:
            self._linger()

    def _end_with(self, fault: Refusal) -> None:
        """Refuse what was being parsed; of what follows nobody knows where it begins."""
        if not self._turns:
            self._say(fault)
        elif not self._turns[0].is_answered:
            self.refuse(self._turns[0], fault)
        if not self._is_deaf:
            self._linger()

    def _say(self, refusal: Refusal) -> None:
        """An answer to what is no request."""
        body = error_body(refusal.text)
        self._sender.write(head_of(refusal.status, JSON, f"content-length: {len(body)}\r\n", last=True) + body)

    def _linger(self) -> None:
        """Read on without looking: closed at once, what still comes would make the network drop what was written."""
        self._is_deaf, self._rest = True, b""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._timer.set(self._shared.limits.patience.linger_s)

    def end(self) -> None:
        """The server ends: refuse what has no answer."""
        for exchange in [*self._turns]:
            self.refuse(exchange, Draining())
        if not self._is_deaf:
            self._is_deaf = True
            self._transport.close()

    def abort(self) -> None:
        """Cut the caller off, without a last word."""
        self._transport.abort()

    def _wait_for_what_is_owed(self) -> None:
        if not self._is_deaf:
            self._wait_for(None if self._is_busy else self._parser.owed or "idle")

    def _wait_for(self, what: Owed | None) -> None:
        if what == self._owed:
            return
        self._owed = what
        if what is None:
            self._timer.stop()
        else:
            self._timer.set(getattr(self._shared.limits.patience, f"{what}_s"))

    def _lose_patience(self) -> None:
        if self._is_deaf or self._owed == "head":
            self._transport.abort()
        elif self._owed == "idle":
            self._transport.close()
        elif self._turns[0].is_answered:
            self._transport.abort()
        else:
            text = f"the body took longer than {self._shared.limits.patience.body_s:g} s"
            self.refuse(self._turns[0], Refusal(408, text, closes=True))
