"""A call in flight, whatever transport brought it, and the reply that a batch gives to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import grpc

from fovea.contract.errors import FoveaError
from fovea.runtime.arrays import Arrays
from fovea.serving.messages.codec import Decoded
from fovea.serving.status import status_of

StatusTable = Mapping[type[FoveaError], grpc.StatusCode]


class Call(Protocol):
    """One call in flight. Exactly one of `finish` and `refuse` is to be called; more do nothing."""

    deadline_s: float | None
    """On the monotonic clock."""
    gone: bool
    """True once the caller has cancelled or vanished; it may be told late, or never, without `watch`."""

    def watch(self) -> None:
        """Keep `gone` up to date from now on; any thread, any number of times."""

    def finish(self, body: bytes) -> None:
        """Send the serialized answer."""

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        """Send an error."""


class CallReply:
    """Turns a batch's outputs into one caller's answer."""

    __slots__ = ("_call", "_decoded", "_table")

    def __init__(self, call: Call, decoded: Decoded, table: StatusTable) -> None:
        self._call, self._decoded, self._table = call, decoded, table

    @property
    def gone(self) -> bool:
        return self._call.gone

    def watch(self) -> None:
        self._call.watch()

    def answer(self, outputs: Arrays) -> None:
        decoded = self._decoded
        body = decoded.encode(decoded.request_id, outputs)
        decoded.release()
        self._call.finish(body)

    def fail(self, error: FoveaError) -> None:
        self._decoded.release()
        self._call.refuse(*status_of(error, self._table))
