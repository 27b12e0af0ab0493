"""One change at a time of each model, in order of arrival; those of different models go side by side."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from queue import Empty, SimpleQueue

log = logging.getLogger(__name__)
_MOST_THREADS = 64
"""They mostly wait: how many versions are loaded at once, `LoadPlaces` decides."""


class Turns:
    """Who changes a model takes its turn, from the first look at its files to the last version that it lets go."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines: dict[str, deque[object]] = {}
        """Model -> who changes it, then who waits for that."""

    def of(self, model: str) -> AbstractContextManager[None]:
        """A place in the line of those who change this model, from now on: to enter it waits for the turn, and has it.

        It must be entered, or those behind it wait for ever.
        """
        mine = object()
        with self._changed:
            line = self._lines.setdefault(model, deque())
            line.append(mine)
        return self._turn(model, line, mine)

    @contextmanager
    def _turn(self, model: str, line: deque[object], mine: object) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: line[0] is mine)
        try:
            yield
        finally:
            with self._changed:
                line.popleft()
                if not line:
                    del self._lines[model]
                self._changed.notify_all()

    def is_changing(self, model: str) -> bool:
        """Whether somebody has, or waits for, a turn of it."""
        return model in self._lines

    @property
    def idle(self) -> bool:
        """True while nothing changes."""
        return not self._lines


def side_by_side(jobs: Sequence[Callable[[], None]]) -> list[threading.Thread]:
    """Begin all jobs, in order, and come back at once; they are done when these threads have ended.

    The process may end without them.
    """
    waiting: SimpleQueue[Callable[[], None]] = SimpleQueue()
    for job in jobs:
        waiting.put(job)
    threads = list[threading.Thread]()
    for _ in range(min(len(jobs), _MOST_THREADS)):
        thread = threading.Thread(target=_work, args=(waiting,), daemon=True, name="load")
        try:
            thread.start()
        except RuntimeError:  # no more are to be had: those that there are do all
            break
        threads.append(thread)
    if not threads:
        _work(waiting)
    return threads


def _work(waiting: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        try:
            job = waiting.get_nowait()
        except Empty:
            return
        try:
            job()
        except Exception:
            log.exception("a change of a model failed")
