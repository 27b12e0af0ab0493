"""Where requests with pictures wait to be decoded: a few threads, and a bounded queue before them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fovea.contract.errors import Draining, ExecutionFailed, FoveaError, QueueFull, VersionEnded
from fovea.serving.observer import Observer, fail
from fovea.serving.picture_input import PictureInput
from fovea.serving.pipeline import QueueLimit
from fovea.serving.requests import Request, is_late

log = logging.getLogger(__name__)
_THREADS = 2
"""Decoding lets other threads run; more would take the cores that models run on."""
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A request with pictures, and where it goes from here."""

    request: Request
    pictures: PictureInput
    onward: Callable[[Request], None]
    """Takes it once its pictures are a tensor."""
    again: Callable[[], None]
    """Called instead where its version has ended meanwhile."""
    observer: Observer
    """Told where it fails."""


class PictureQueue:
    """Bounded in requests and in bytes, as the queue of a model is. `submit` may be called from any thread."""

    def __init__(self, limit: QueueLimit, max_pixels: int) -> None:
        self._limit, self._max_pixels = limit, max_pixels
        self._changed = threading.Condition()
        self._waiting: deque[Undecoded] = deque()
        self._bytes = self._decoding = 0
        self._closed = False
        for _ in range(_THREADS):  # nobody waits for them at the end: a picture that is begun cannot be stopped
            threading.Thread(target=self._work, daemon=True, name="pictures").start()

    @property
    def quiet(self) -> bool:
        """True while nothing waits and nothing is decoded."""
        with self._changed:
            return not self._waiting and not self._decoding

    def submit(self, undecoded: Undecoded) -> None:
        """Have its pictures decoded; QueueFull where there is no room, Draining where the queue is closed."""
        size = undecoded.request.bytes
        with self._changed:
            if self._closed:
                raise Draining()
            self._require_room(size)
            self._waiting.append(undecoded)
            self._bytes += size
            self._changed.notify()

    def _require_room(self, size: int) -> None:
        waiting, limit = len(self._waiting), self._limit
        if waiting >= limit.requests or (waiting and self._bytes + size > limit.bytes):
            load = f"{waiting} requests of {self._bytes / _MB:.1f} MB wait"
            most = f"{limit.requests} and {limit.bytes // _MB} MB"
            raise QueueFull(f"picture queue full: {load}, the limit is {most}")

    def close(self) -> None:
        """Refuse what waits and what is new, with Draining."""
        with self._changed:
            self._closed, waiting = True, list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for undecoded in waiting:
            fail(undecoded.request, Draining(), undecoded.observer)

    def _work(self) -> None:
        while (undecoded := self._next()) is not None:
            self._hand_on(undecoded)
            with self._changed:
                self._decoding -= 1

    def _next(self) -> Undecoded | None:
        """What to decode next, waited for; None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            undecoded = self._waiting.popleft()
            self._bytes -= undecoded.request.bytes
            self._decoding += 1
            return undecoded

    def _hand_on(self, undecoded: Undecoded) -> None:
        try:
            self._decode(undecoded.request, undecoded.pictures)
            undecoded.onward(undecoded.request)
        except VersionEnded:
            undecoded.again()
        except FoveaError as error:
            fail(undecoded.request, error, undecoded.observer)
        except Exception:
            log.exception("pictures could not be decoded")
            fail(undecoded.request, ExecutionFailed("the pictures could not be decoded"), undecoded.observer)

    def _decode(self, request: Request, pictures: PictureInput) -> None:
        """Its pictures as a tensor. What nobody waits for is left as it is: the model's queue drops it, and says so."""
        rows = []
        for row, data in enumerate(request.inputs[pictures.name].ravel()):
            if request.reply.gone or is_late(request, time.monotonic()):
                return
            rows.append(pictures.row(row, data, self._max_pixels))
        tensor = np.concatenate(rows)
        request.inputs = {**request.inputs, pictures.name: tensor}
        request.bytes = sum(array.nbytes for array in request.inputs.values())
