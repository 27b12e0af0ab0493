"""The requests of one connection, which are answered one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from fovea.contract.errors import Draining
from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.framing import Head
from fovea.serving.fronts.rest.refusal import Refusal
from fovea.serving.fronts.rest.responses import CONTINUE, JSON, error_body, refusal_of
from fovea.serving.fronts.rest.sender import Sender
from fovea.serving.fronts.rest.shared import Shared


class Turns:
    """Listens to the parser, and is the `Wire` of the exchanges. Nothing is looked at of a request before its turn."""

    def __init__(self, shared: Shared, sender: Sender, answered: Callable[[], None]) -> None:
        """`answered` is called when there may be more to do: after each answer that did not come at once."""
        self._shared, self._sender, self._on_answer = shared, sender, answered
        self.handover = shared.handover
        self._open: deque[Exchange] = deque()
        """The request that is answered now, and those that were parsed with it."""
        self.fault: Refusal | None = None
        """What is wrong with what was parsed last; it has its turn too."""
        self.is_over = False
        """The last answer has been sent."""
        self._is_taking = False

    @property
    def is_busy(self) -> bool:
        """What comes next has to wait for an answer, or for one to be read."""
        return bool(self._open and self._open[0].is_complete) or self._sender.is_unread

    @property
    def is_cut_short(self) -> bool:
        """The body of the request at hand is not here in whole."""
        return bool(self._open) and not self._open[0].is_complete

    @property
    def is_wanted(self) -> bool:
        """So it is, and somebody waits for it: the request has not been answered before."""
        return self.is_cut_short and not self._open[0].is_answered

    def unread(self) -> list[Exchange]:
        """The requests that have come and whose answers have not been read; any thread."""
        unread = self._sender.unread
        return [*self._open] if unread is None else [unread, *self._open]

    def on_head(self, head: Head) -> None:
        """A request begins."""
        self._open.append(Exchange(head, self))

    def on_body(self, part: bytes) -> None:
        """A part of its body."""
        exchange = self._open[-1]
        if exchange.is_begun:
            self._shared.bodies.keep(exchange, part)
        else:
            exchange.parts.append(part)

    def on_end(self) -> None:
        """It is complete."""
        self._open[-1].is_complete = True

    def take(self) -> None:
        """One after another, as far as that goes without waiting."""
        self._is_taking = True
        while self._open and not self.is_over and not self._sender.is_unread and self._take(self._open[0]):
            self._open.popleft()
        self._is_taking = False
        if self.fault is not None and not self.is_over and not self.is_busy:
            self._end_with(self.fault)

    def _take(self, exchange: Exchange) -> bool:
        """Whether it is over, and the next may be looked at."""
        if self.fault is not None and not exchange.is_complete:  # it is what cannot be read
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
            self._sender.abort(exchange)
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

    def refuse_first(self, refusal: Refusal) -> None:
        """Refuse the request at hand."""
        self.refuse(self._open[0], refusal)

    def refuse_all(self) -> None:
        """The server ends."""
        for exchange in [*self._open]:
            self.refuse(exchange, Draining())
        self.is_over = True

    def leave(self) -> None:
        """The caller is gone."""
        self.is_over = True
        for exchange in self.unread():
            exchange.gone = exchange.over = exchange.is_answered = True
            self.release(exchange)
        self._open.clear()

    def _is_last(self, exchange: Exchange) -> bool:
        return not exchange.head.keep_alive or self._shared.is_ending

    def _answered(self, exchange: Exchange, last: bool) -> None:
        self.release(exchange)
        self.is_over |= last
        if not self._is_taking:
            self._on_answer()

    def _end_with(self, fault: Refusal) -> None:
        """Refuse what was being parsed; of what follows nobody knows where it begins."""
        if not self._open:
            self._sender.refuse(fault)
        elif not self._open[0].is_answered:
            self.refuse(self._open[0], fault)
        self.is_over = True
