"""The reply to one gRPC call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import grpc

from fovea.contract.errors import FoveaError
from fovea.serving.fronts.grpc.status import StatusTable, status_of

E = TypeVar("E", contravariant=True)


class Call(Protocol):
    """One call in flight. Exactly one of `finish` and `refuse` is to be called; more do nothing."""

    deadline_s: float | None
    """On the monotonic clock."""
    gone: bool
    """True once the caller has cancelled or vanished; without `watch` it may become so late, or never."""

    def watch(self) -> None:
        """Keep `gone` up to date from now on; any thread, any number of times."""

    def finish(self, body: bytes) -> None:
        """Send the serialized answer."""

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        """Send an error."""


class ByteReply:
    """A call is the reply to its own request, where answers come as bytes."""

    __slots__ = ()

    def send(self: Call, event: bytes | FoveaError, final: bool = True) -> None:
        """Answer it."""
        assert final, "a unary call has one answer"
        if isinstance(event, FoveaError):
            self.refuse(*status_of(event))
        else:
            self.finish(event)


class CallReply(Generic[E]):
    """Answers a call once, with what `write` makes of an event; see `fovea.serving.engines.reply`."""

    __slots__ = ("_call", "_table", "_write")

    def __init__(self, call: Call, write: Callable[[E], bytes], table: StatusTable) -> None:
        self._call, self._write, self._table = call, write, table

    @property
    def gone(self) -> bool:
        return self._call.gone

    def watch(self) -> None:
        self._call.watch()

    def send(self, event: E | FoveaError, final: bool = True) -> None:
        assert final, "a unary call has one answer"
        if isinstance(event, FoveaError):
            self._call.refuse(*status_of(event, self._table))
        else:
            self._call.finish(self._write(event))
