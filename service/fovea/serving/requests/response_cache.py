"""Answers kept by the content of their requests: one bounded cache, and each version's view of it.

A key is a digest of everything that makes an answer: the version that is loaded (one that is loaded again has another
number), the inputs as they are declared, the outputs that are wanted, and the inputs' bytes. An answer is kept as
arrays, without its id, which is the caller's own, whatever front it went to.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import count
from threading import Lock
from typing import Any, Protocol

from numpy.typing import NDArray

from fovea.contract.errors import FoveaError
from fovea.serving.engines.queued_request import QueuedRequest
from fovea.serving.engines.reply import Reply
from fovea.serving.requests.answer import Answer
from fovea.serving.requests.door import Admitted

MOST_INPUT_BYTES = 1 << 20
"""A digest takes about a millisecond a megabyte, on the thread that takes every request in."""
_ENTRY_BYTES = 300
"""What an entry takes besides its answer."""
_SECRET = os.urandom(16)
"""Nobody outside can look for two requests of one digest."""

Key = tuple[int, bytes]
"""A version's number, and the digest of a request."""
Outputs = list[NDArray[Any]]
"""The outputs of an answer, each a copy."""


class ResponseCache:
    """The least recently used answers go first. Any thread may use it."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._kept: OrderedDict[Key, tuple[Outputs, int]] = OrderedDict()
        """What is kept, and its bytes."""
        self._lock = Lock()
        self.bytes = 0
        """Bytes that it holds now, with what keeping an answer costs."""

    def get(self, key: Key) -> Outputs | None:
        """An answer's outputs, if they are there."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept.move_to_end(key)
            return kept[0]

    def put(self, key: Key, outputs: Sequence[NDArray[Any]]) -> None:
        """Keep an answer's outputs, unless they are larger than everything that may be kept."""
        size = _ENTRY_BYTES + sum(map(_bytes, outputs))
        if size > self._limit:
            return
        copies = [array.copy() for array in outputs]
        with self._lock:
            self._drop(key)
            self._kept[key] = (copies, size)
            self.bytes += size
            while self.bytes > self._limit:
                self._drop(next(iter(self._kept)))

    def forget(self, version: int) -> None:
        """Drop every answer of a version that is let go."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == version]:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        _, size = self._kept.pop(key, ((), 0))
        self.bytes -= size


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

    def answers(self, queued: QueuedRequest, admitted: Admitted) -> bool:
        """Whether an answer was there, and is sent; if not, the one that the request gets will be kept.

        Large requests, and those whose answer goes to shared memory, are left alone.
        """
        if admitted.bytes > MOST_INPUT_BYTES or admitted.held is not None:
            return False
        start_s = time.monotonic()
        key = (self._version, _digest(admitted))
        outputs = self._cache.get(key)
        if outputs is None:
            lookup_s = time.monotonic() - start_s
            admitted.reply = _KeptReply(admitted.reply, lambda answer: self._keep(key, answer, lookup_s))
            return False
        found_s = time.monotonic()
        admitted.reply.send(Answer(admitted.checked.form, admitted.request.id, outputs))
        self._observer.cache_hit(found_s - start_s, found_s - queued.arrived_s, queued.rows)
        return True

    def _keep(self, key: Key, answer: Answer, lookup_s: float) -> None:
        start_s = time.monotonic()
        self._cache.put(key, answer.arrays)
        self._observer.cache_miss(lookup_s + time.monotonic() - start_s)

    def close(self) -> None:
        """Forget the answers of a version that is unloaded."""
        self._cache.forget(self._version)


class _KeptReply:
    """A reply whose answer is kept once it is sent, where it comes in one piece."""

    __slots__ = ("_begun", "_keep", "_reply")

    def __init__(self, reply: Reply[Answer], keep: Callable[[Answer], None]) -> None:
        self._reply, self._keep = reply, keep
        self._begun = False

    @property
    def gone(self) -> bool:
        return self._reply.gone

    def watch(self) -> None:
        self._reply.watch()

    def send(self, event: Answer | FoveaError, final: bool = True) -> None:
        self._reply.send(event, final)
        if final and not self._begun and not isinstance(event, FoveaError):
            self._keep(event)
        self._begun = True


def _digest(admitted: Admitted) -> bytes:
    checked = admitted.checked
    inputs = [(tensor.name, tensor.datatype, tensor.shape) for tensor in checked.inputs]
    outputs = [(output.spec.name, output.top) for output in checked.form.wanted]
    digest = blake2b(repr((inputs, outputs)).encode(), digest_size=16, key=_SECRET)
    for array in admitted.inputs.values():
        for part in _parts(array):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return digest.digest()


def _parts(array: NDArray[Any]) -> Iterator[bytes]:
    """An array's bytes; of BYTES, each element's."""
    if array.dtype == object:
        yield from array.flat
    else:
        yield array.tobytes()


def _bytes(array: NDArray[Any]) -> int:
    return array.nbytes + (sum(map(len, array.flat)) if array.dtype == object else 0)
