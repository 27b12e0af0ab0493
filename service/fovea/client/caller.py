"""What the blocking and the async client have in common: all but the waiting."""

from __future__ import annotations

import random
import time
from typing import Any, ClassVar, Unpack

from fovea.client.calls import Call
from fovea.client.channels import DEFAULT_ADDRESS, Access, Stubs, open_channel, token_metadata
from fovea.client.retry import ONCE, Attempts, Retry


class Caller:
    """A channel to one server, and how patiently it is used.

    `timeout_s` is the longest wait for any answer, retries included. Calls that are UNAVAILABLE, as nobody is there or
    a queue is full, are tried again as `retry` says. `access` is what a secured server wants to see.
    """

    _grpc: ClassVar[Any]
    """The module that opens channels: `grpc` or `grpc.aio`."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        timeout_s: float = 30.0,
        retry: Retry = Retry(),  # noqa: B008 (a frozen value)
        **access: Unpack[Access],
    ) -> None:
        self._address, self._timeout_s, self._retry = address, timeout_s, retry
        self._metadata = token_metadata(access)
        self._channel = open_channel(self._grpc, address, access)
        self._stubs = Stubs(self._channel)

    def _attempts(self, call: Call[Any], timeout_s: float | None) -> Attempts:
        patience_s = self._timeout_s if timeout_s is None else timeout_s
        return Attempts(self._retry if call.may_repeat else ONCE, patience_s, time.monotonic, random.random)
