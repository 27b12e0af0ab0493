"""Answers kept by the content of their requests: one bounded cache, and each version's view of it.

A key is a digest of everything that makes an answer: the version that is loaded (one that is loaded again has another
number), the inputs as they are declared, the outputs that are wanted, and the inputs' bytes. An answer is kept without
its id, which is the caller's own.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import count
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import FoveaError
from fovea.runtime.arrays import Arrays
from fovea.serving.engines.batching.requests import Reply, Request
from fovea.serving.messages.answers import with_id
from fovea.serving.messages.codec import Decoded

MOST_INPUT_BYTES = 1 << 20
"""A digest takes about a millisecond a megabyte, on the thread that takes every request in."""
_ENTRY_BYTES = 300
"""What an entry takes besides its answer."""
_SECRET = os.urandom(16)
"""Nobody outside can look for two requests of one digest."""

Key = tuple[int, bytes]
"""Of a version's number and a digest."""


class ResponseCache:
    """The least recently used answers go first. Any thread may use it."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._bodies: OrderedDict[Key, bytes] = OrderedDict()
        self._lock = Lock()
        self.bytes = 0
        """What it holds now."""

    def get(self, key: Key) -> bytes | None:
        """An answer without its id, if it is there."""
        with self._lock:
            body = self._bodies.get(key)
            if body is not None:
                self._bodies.move_to_end(key)
            return body

    def put(self, key: Key, body: bytes) -> None:
        """Keep an answer, unless it is larger than everything that may be kept."""
        if len(body) + _ENTRY_BYTES > self._limit:
            return
        with self._lock:
            self._drop(key)
            self._bodies[key] = body
            self.bytes += len(body) + _ENTRY_BYTES
            while self.bytes > self._limit:
                self._drop(next(iter(self._bodies)))

    def forget(self, version: int) -> None:
        """Drop every answer of a version that is let go."""
        with self._lock:
            for key in [key for key in self._bodies if key[0] == version]:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        body = self._bodies.pop(key, None)
        if body is not None:
            self.bytes -= len(body) + _ENTRY_BYTES


class CacheObserver(Protocol):
    """Told after callers are answered."""

    def cache_hit(self, lookup_s: float, duration_s: float, rows: int) -> None:
        """A request was answered from the cache, `duration_s` after it arrived."""

    def cache_miss(self, seconds: float) -> None:
        """An answer was looked for in vain, and kept once it was there; both took so long."""


class VersionCache:
    """One loaded version's answers in the cache."""

    _numbers = count()

    def __init__(self, cache: ResponseCache, observer: CacheObserver) -> None:
        self._cache, self._observer = cache, observer
        self._version = next(self._numbers)

    def answers(self, request: Request, decoded: Decoded, send: Callable[[bytes], None]) -> bool:
        """Whether an answer was there, and is sent; if not, the one that the request gets will be kept.

        Large requests, and those whose answer goes to shared memory, are left alone.
        """
        if decoded.bytes > MOST_INPUT_BYTES or decoded.held is not None:
            return False
        start_s = time.monotonic()
        key = (self._version, _digest(decoded))
        body = self._cache.get(key)
        if body is None:
            lookup_s = time.monotonic() - start_s
            request.reply = _KeptReply(request.reply, decoded, send, lambda made: self._keep(key, made, lookup_s))
            return False
        answer = with_id(body, decoded.request_id)
        found_s = time.monotonic()
        send(answer)
        self._observer.cache_hit(found_s - start_s, found_s - request.arrived_s, request.rows)
        return True

    def _keep(self, key: Key, body: bytes, lookup_s: float) -> None:
        start_s = time.monotonic()
        self._cache.put(key, body)
        self._observer.cache_miss(lookup_s + time.monotonic() - start_s)

    def close(self) -> None:
        """Its version is let go."""
        self._cache.forget(self._version)


class _KeptReply:
    """A reply whose answer is kept once it is sent."""

    __slots__ = ("_decoded", "_keep", "_reply", "_send")

    def __init__(
        self, reply: Reply, decoded: Decoded, send: Callable[[bytes], None], keep: Callable[[bytes], None]
    ) -> None:
        self._reply, self._decoded, self._send, self._keep = reply, decoded, send, keep

    @property
    def gone(self) -> bool:
        return self._reply.gone

    def watch(self) -> None:
        self._reply.watch()

    def answer(self, outputs: Arrays) -> None:
        body = self._decoded.encode("", outputs)
        self._send(with_id(body, self._decoded.request_id))
        self._keep(body)

    def fail(self, error: FoveaError) -> None:
        self._reply.fail(error)


def _digest(decoded: Decoded) -> bytes:
    header = decoded.header
    inputs = [(tensor.name, tensor.datatype, tensor.shape) for tensor in header.inputs]
    outputs = [(output.spec.name, output.top) for output in header.answer.wanted]
    style = decoded.sending.style
    kind = "" if style is None else style.kind(header.answer.wanted)
    digest = blake2b(repr((inputs, outputs, kind)).encode(), digest_size=16, key=_SECRET)
    for array in decoded.inputs.values():
        for part in _parts(array):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return digest.digest()


def _parts(array: NDArray[np.generic]) -> Iterator[bytes]:
    """An array's bytes; of BYTES, each element's."""
    if array.dtype == object:
        yield from array.flat
    else:
        yield array.tobytes()
