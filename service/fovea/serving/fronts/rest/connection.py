"""An HTTP connection: requests out of bytes, and an end to waiting for callers."""

from __future__ import annotations

import asyncio
from typing import Literal

from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.parser import PART_MAX_BYTES, Parser
from fovea.serving.fronts.rest.refusal import Refusal
from fovea.serving.fronts.rest.sender import Sender
from fovea.serving.fronts.rest.shared import Shared
from fovea.serving.fronts.rest.timer import Timer
from fovea.serving.fronts.rest.turns import Turns

Owed = Literal["head", "body", "idle"]
"""What a caller is waited for; `Patience` says how long."""


class Connection(asyncio.BufferedProtocol):
    """asyncio's protocol."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._rest = b""
        """What came behind requests that have no answer yet: it is looked at when it is its turn."""
        self._owed: Owed | None = None
        self._is_deaf = False
        """What still comes is passed over."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller is here."""
        shared, self._transport = self._shared, transport
        self._sender = Sender(shared.loop, transport, shared.limits)
        self._turns = Turns(shared, self._sender, self._go_on)
        self._parser = Parser(self._turns)
        self._timer = Timer(shared.loop, self._lose_patience)
        shared.connections.add(self)
        self._wait_for("head")
        if len(shared.connections) > shared.limits.connections:
            text = f"{shared.limits.connections} connections are open, which is the limit"
            self._sender.refuse(Refusal(503, text, closes=True))
            self._close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_deaf = True
        self._shared.connections.discard(self)
        self._timer.close()
        self._sender.close()
        self._turns.leave()

    def unread(self) -> list[Exchange]:
        """The requests that have come and whose answers have not been read; any thread."""
        return self._turns.unread()

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

    def _feed(self, data: memoryview) -> None:
        turns = self._turns
        for at in range(0, len(data), PART_MAX_BYTES):
            if turns.is_busy or turns.is_over:
                self._rest = bytes(data[at:])
                self._transport.pause_reading()
                break
            try:
                self._parser.feed(data[at : at + PART_MAX_BYTES])
            except Refusal as fault:
                turns.fault = fault
            turns.take()
        self._look_ahead()

    def _go_on(self) -> None:
        """Look at what had to wait."""
        turns = self._turns
        turns.take()
        while self._rest and not (turns.is_busy or turns.is_over):
            rest, self._rest = self._rest, b""
            self._transport.resume_reading()
            self._feed(memoryview(rest))
        self._look_ahead()

    def _look_ahead(self) -> None:
        """After all that could be done: end, or wait for the caller."""
        if self._is_deaf:
            return
        if not self._turns.is_over:
            self._wait_for(None if self._turns.is_busy else self._parser.owed or "idle")
        elif self._turns.fault is None and not self._turns.is_cut_short:
            self._close()
        else:
            self._linger()

    def _close(self) -> None:
        self._is_deaf = True
        self._transport.close()

    def _linger(self) -> None:
        """Read on without looking: closed at once, what still comes would make the network drop what was written."""
        self._is_deaf, self._rest = True, b""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._timer.set(self._shared.limits.patience.linger_s)

    def end(self) -> None:
        """The server ends: refuse what has no answer."""
        self._turns.refuse_all()
        self._look_ahead()

    def abort(self) -> None:
        """Cut the caller off."""
        self._transport.abort()

    def _wait_for(self, what: Owed | None) -> None:
        if what == self._owed:
            return
        self._owed = what
        if what is None:
            self._timer.stop()
        else:
            self._timer.set(getattr(self._shared.limits.patience, f"{what}_s"))

    def _lose_patience(self) -> None:
        if self._owed == "idle" and not self._is_deaf:
            self._close()
        elif self._owed == "body" and not self._is_deaf and self._turns.is_wanted:
            text = f"the body took longer than {self._shared.limits.patience.body_s:g} s"
            self._turns.refuse_first(Refusal(408, text, closes=True))
        else:
            self._transport.abort()
