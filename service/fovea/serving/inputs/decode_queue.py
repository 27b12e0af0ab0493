"""Where requests with pictures, texts or very much data wait to become tensors: a few threads, bounded lines before."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from fovea.contract.errors import Draining, ExecutionFailed, FoveaError, VersionEnded
from fovea.inputs.pictures import Limits
from fovea.serving.engines.observer import fail
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.engines.queued_request import QueuedRequest, is_late
from fovea.serving.inputs.decode_lines import DecodeLines, Undecoded
from fovea.serving.inputs.token_outputs import token_arrays

log = logging.getLogger(__name__)
_TEXTS_S = 0.001
"""Texts, which take microseconds, are made tensors for so long before it is another request's turn."""
_THREADS = 2
"""Decoding lets other threads run; more would take the cores that models run on."""


class DecodeQueue:
    """Bounded in requests and in bytes for each model, as its own queue is. May be used by any thread."""

    def __init__(self, limit: QueueLimit, limits: Limits) -> None:
        self._limits = limits
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
            start_s = time.thread_time()
            done = self._step(undecoded)
            with self._changed:
                self._lines.charge(undecoded, time.thread_time() - start_s)
                self._decoding -= 1
                closed = self._closed
                if not (done or closed):
                    self._lines.put_back(undecoded)
                self._changed.notify()  # of what could not be begun beside this
            if closed and not done:  # what was put back is the line's: whoever closes it answers
                fail(undecoded.request, Draining(), undecoded.observer)

    def _next(self) -> Undecoded | None:
        """What to decode next, waited for; None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines.next_model is not None or self._closed)
            if self._closed:
                return None
            self._decoding += 1
            return self._lines.take()

    def _step(self, undecoded: Undecoded) -> bool:
        """Decode one thing, and hand the request on if that was the last, or if it fails; whether it was."""
        try:
            if _is_pointless(undecoded.request) or self._is_decoded(undecoded):
                undecoded.onward(undecoded.request)  # the model's queue drops what nobody waits for, and says so
                return True
            return False
        except VersionEnded:
            undecoded.again()
        except FoveaError as error:
            fail(undecoded.request, error, undecoded.observer)
        except Exception:
            log.exception("a request could not be decoded")
            fail(undecoded.request, ExecutionFailed("the inputs could not be decoded"), undecoded.observer)
        return True

    def _is_decoded(self, undecoded: Undecoded) -> bool:
        """Make its inputs, or of its pictures the next, or some texts; whether all of them are tensors now."""
        request = undecoded.request
        if undecoded.decode is not None:
            request.inputs, undecoded.decode = undecoded.decode(), None
            request.bytes = max(request.bytes, _bytes(request))
            return not undecoded.raw
        self._make_rows(undecoded)
        if undecoded.left:
            return False
        for raw in undecoded.raw:
            request.inputs = {**request.inputs, **raw.tensors(undecoded.rows[raw.name])}
        if undecoded.tell is not None:
            undecoded.tell(token_arrays(undecoded.pieces))
        if undecoded.batch_key is not None:
            request.batch_key = undecoded.batch_key(request.inputs)
        request.bytes = _bytes(request)
        return True

    def _make_rows(self, undecoded: Undecoded) -> None:
        """The next picture, or the next few texts."""
        inputs, left = undecoded.request.inputs, undecoded.left
        if left is None:
            left = undecoded.left = deque((raw, row) for raw in undecoded.raw for row in range(len(inputs[raw.name])))
        stop_s = time.thread_time() + _TEXTS_S
        while left:
            raw, row = left.popleft()
            elements = inputs[raw.name][row : row + 1].ravel().tolist()
            made = raw.row(row, elements, self._limits)
            if undecoded.tell is not None and raw.kind == "text":
                undecoded.pieces.append(raw.pieces(elements))
            undecoded.rows.setdefault(raw.name, []).append(made)
            if raw.kind == "picture" or time.thread_time() > stop_s:
                return


def _bytes(request: QueuedRequest) -> int:
    return sum(array.nbytes for array in request.inputs.values())


def _is_pointless(request: QueuedRequest) -> bool:
    """Whether nobody waits for it any more."""
    return request.reply.gone or is_late(request, time.monotonic())
