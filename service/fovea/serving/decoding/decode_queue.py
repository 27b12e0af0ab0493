"""Where requests with pictures or very much data wait to be decoded: a few threads, and bounded lines before them."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np

from fovea.contract.errors import Draining, ExecutionFailed, FoveaError, VersionEnded
from fovea.serving.batching.observer import fail
from fovea.serving.batching.queue_limit import QueueLimit
from fovea.serving.batching.requests import Request, is_late
from fovea.serving.decoding.decode_lines import DecodeLines, Undecoded
from fovea.serving.decoding.picture_input import PictureInput

log = logging.getLogger(__name__)
_THREADS = 2
"""Decoding lets other threads run; more would take the cores that models run on."""


class DecodeQueue:
    """Bounded in requests and in bytes for each model, as its own queue is. May be used by any thread."""

    def __init__(self, limit: QueueLimit, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._changed = threading.Condition()
        self._lines = DecodeLines(limit)
        self._decoding = 0
        self._closed = False
        for _ in range(_THREADS):  # daemons, for the process's end: a picture that is begun cannot be stopped
            threading.Thread(target=self._work, daemon=True, name="decode").start()

    @property
    def quiet(self) -> bool:
        """True while nothing waits and nothing is decoded."""
        with self._changed:
            return not self._lines and not self._decoding

    def submit(self, undecoded: Undecoded) -> None:
        """Have its data decoded; QueueFull where there is no room, Draining where the queue is closed."""
        with self._changed:
            if self._closed:
                raise Draining
            self._lines.add(undecoded)
            self._changed.notify()

    def close(self) -> None:
        """Refuse what waits and what is new."""
        with self._changed:
            self._closed = True
            waiting = self._lines.take_all()
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
            self._changed.wait_for(lambda: self._lines or self._closed)
            if self._closed:
                return None
            self._decoding += 1
            return self._lines.take()

    def _hand_on(self, undecoded: Undecoded) -> None:
        try:
            self._decode(undecoded)
            undecoded.onward(undecoded.request)
        except VersionEnded:
            undecoded.again()
        except FoveaError as error:
            fail(undecoded.request, error, undecoded.observer)
        except Exception:
            log.exception("a request could not be decoded")
            fail(undecoded.request, ExecutionFailed("the inputs could not be decoded"), undecoded.observer)

    def _decode(self, undecoded: Undecoded) -> None:
        """Make its tensors. What nobody waits for is left as it is: the model's queue drops it, and says so."""
        request = undecoded.request
        if undecoded.decode is not None and not _is_pointless(request):
            request.inputs = undecoded.decode()
            request.bytes = max(request.bytes, _bytes(request))
        if undecoded.pictures is not None and request.inputs:
            self._decode_pictures(request, undecoded.pictures)

    def _decode_pictures(self, request: Request, pictures: PictureInput) -> None:
        rows = []
        for row, data in enumerate(request.inputs[pictures.name].ravel()):
            if _is_pointless(request):
                return
            rows.append(pictures.row(row, data, self._max_pixels))
        tensor = np.concatenate(rows)
        request.inputs = {**request.inputs, pictures.name: tensor}
        request.bytes = _bytes(request)


def _bytes(request: Request) -> int:
    return sum(array.nbytes for array in request.inputs.values())


def _is_pointless(request: Request) -> bool:
    """Whether nobody waits for it any more."""
    return request.reply.gone or is_late(request, time.monotonic())
