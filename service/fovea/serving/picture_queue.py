"""Where requests with pictures wait to be decoded: a few threads, and a bounded queue before them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fovea.contract.errors import ExecutionFailed, FoveaError, VersionEnded
from fovea.serving.observer import Observer, fail
from fovea.serving.picture_input import PictureInput
from fovea.serving.queue_limit import QueueLimit
from fovea.serving.requests import Request, is_late

log = logging.getLogger(__name__)
_THREADS = 2
"""Decoding lets other threads run; more would take the cores that models run on."""


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


@dataclass(slots=True)
class _Load:
    """What waits or is being decoded."""

    requests: int = 0
    bytes: int = 0


class PictureQueue:
    """Bounded in requests and in bytes, as the queue of a model is. `submit` may be called from any thread."""

    def __init__(self, limit: QueueLimit, max_pixels: int) -> None:
        self._limit, self._max_pixels = limit, max_pixels
        self._pool = ThreadPoolExecutor(_THREADS, "pictures")
        self._lock = threading.Lock()
        self._load = _Load()

    def submit(self, undecoded: Undecoded) -> None:
        """Have its pictures decoded; QueueFull where there is no room."""
        self._admit(undecoded.request.bytes)
        self._pool.submit(self._work, undecoded, undecoded.request.bytes)

    def _admit(self, size: int) -> None:
        with self._lock:
            if not self._limit.admits(self._load, size):
                raise self._limit.full("picture queue", self._load)
            self._load.requests += 1
            self._load.bytes += size

    def _work(self, undecoded: Undecoded, size: int) -> None:
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
        finally:
            with self._lock:
                self._load.requests -= 1
                self._load.bytes -= size

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
