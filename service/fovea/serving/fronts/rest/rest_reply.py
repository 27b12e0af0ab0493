"""The reply to one HTTP request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fovea.contract.errors import FoveaError
from fovea.serving.fronts.rest.exchange import Exchange


class RestReply:
    """Takes one event, see `fovea.serving.engines.reply`; any thread may `send`."""

    def __init__(self, exchange: Exchange, write: Callable[[Any], None]) -> None:
        """`write` answers the exchange with what was sent, on the thread that sent it."""
        self._exchange, self._write = exchange, write

    @property
    def gone(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self._exchange.gone

    def watch(self) -> None:
        """Nothing: `gone` is up to date without it."""

    def send(self, event: Any, final: bool = True) -> None:
        """Hand over an answer, or an error."""
        assert final, "a request over HTTP has one answer"
        if isinstance(event, FoveaError):
            self._exchange.refuse(event)
        else:
            self._write(event)
