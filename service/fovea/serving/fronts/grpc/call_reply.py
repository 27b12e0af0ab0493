"""The reply to one gRPC call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import grpc

from fovea.contract.errors import FoveaError
from fovea.serving.fronts.grpc.status import StatusTable, status_of

E = TypeVar("E", contravariant=True)


class Call(Protocol):
    """One call in flight. Exactly one of `finish` and `refuse` is to be called; more do nothing."""

    deadline_s: float | None
    """The call's deadline on the monotonic clock; None without one."""
    gone: bool
    """True once the caller has cancelled or vanished; without `watch` it may become so late, or never."""

    rpc: str
    """Its name."""

    @property
    def metadata(self) -> Iterable[tuple[str, Any]]:
        """What the caller sent beside the message."""

    @property
    def alone(self) -> bool:
        """Whether nothing else is in flight where it came in: the thread that brings it has time to run it."""

    def watch(self) -> None:
        """Keep `gone` up to date from now on; any thread, any number of times."""

    def tell(self, body: bytes) -> None:
        """Send a serialized answer that is not the last, where a call takes several."""

    def finish(self, body: bytes) -> None:
        """Send the serialized answer, or the last of them."""

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        """Send an error."""


class CallReply(Generic[E]):
    """Answers a call with what `write` makes of an event; see `fovea.serving.engines.reply`."""

    __slots__ = ("_table", "_write", "call")

    def __init__(self, call: Call, write: Callable[[E], bytes], table: StatusTable) -> None:
        self.call, self._write, self._table = call, write, table

    @property
    def gone(self) -> bool:
        return self.call.gone

    def watch(self) -> None:
        self.call.watch()

    def send(self, event: E | FoveaError, final: bool = True) -> None:
        if isinstance(event, FoveaError):
            self.call.refuse(*status_of(event, self._table))
        elif final:
            self.call.finish(self._write(event))
        else:
            self.call.tell(self._write(event))
