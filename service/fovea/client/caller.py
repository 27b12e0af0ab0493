"""What the blocking and the async client have in common: all but the waiting."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import update_wrapper
from inspect import Parameter, Signature, signature
from typing import Any, ClassVar, TypeVar, Unpack, get_args, get_type_hints

from fovea.client.channels import DEFAULT_ADDRESS, Access, Stubs, open_channel, token_metadata
from fovea.client.methods import Call
from fovea.client.retry import ONCE, Attempts, Retry

M = TypeVar("M", bound=Callable[..., Any])


def method_of(make: Callable[..., Call[Any]], method: M) -> M:
    """The method, with the name, the parameters and the text of the function that makes its call."""
    update_wrapper(method, make)
    own, (answer,) = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), get_args(get_type_hints(make)["return"])
    parameters = [own, *signature(make).parameters.values()]
    answer = None if answer is type(None) else answer
    method.__signature__ = Signature(parameters, return_annotation=answer)  # type: ignore[attr-defined]
    return method


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

    def _attempts(self, call: Call[Any]) -> Attempts:
        patience_s = self._timeout_s if call.timeout_s is None else call.timeout_s
        return Attempts(self._retry if call.may_repeat else ONCE, patience_s, time.monotonic, random.random)
