"""Threads that stand in for gRPC's serving loop while a connection keeps it to itself.

gRPC reads a connection for as long as there is something to read, on the thread that polls: one that floods it with
frames that mean nothing keeps this thread. Others poll as soon as it works for some time and makes no turn, each after
another patience, since what held up the first may hold up the second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from fovea.serving.fronts.grpc.alarm import Alarm

_PATIENCE_S = 0.05
_NEXT_PATIENCE_S = (0.02, 0.04, 0.08)
"""Of those who stand in for the stand-ins."""
_WORK = 0.1
"""Share of a processor by which a loop that is held up, on a busy machine too, differs from one that waits."""


class StandIns:
    """Watch a loop by its turns and its processor time: one that waits makes no turn either, but does no work.

    A thread that wakes takes the interpreter from the loop, which costs half a millisecond where that is busy. So a
    loop that turns puts the first one's alarm off, and each other one looks only while the one before it polls.
    """

    def __init__(self, turns: Callable[[], int], poll: Callable[[], None]) -> None:
        """`poll`: handle events in the loop's stead until there are none."""
        self._turns, self._poll = turns, poll
        self._alarm = Alarm(_PATIENCE_S)
        self._clock = 0
        self._seen = (0, 0.0)
        """The loop's turns and its processor time at the last look."""
        self._polls = [threading.Event() for _ in (*_NEXT_PATIENCE_S, None)]
        """Of each whether it polls; after the end all are set."""
        self._over = False

    def start(self) -> None:
        """On the loop's thread, before its first turn."""
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self.loop_turns()
        _start(self._first)
        for words in zip(_NEXT_PATIENCE_S, self._polls, self._polls[1:], strict=False):
            _start(self._next, *words)

    def loop_turns(self) -> None:
        """The loop is not held up; to be said once in a while by a loop that has much to do."""
        self._alarm.put_off()

    def end(self) -> None:
        """Let the stand-ins go: the loop has ended."""
        self._over = True
        for polls in self._polls:
            polls.set()

    def _first(self) -> None:
        while not self._over:
            self._alarm.wait()
            with suppress(OSError):  # the loop's thread has ended just now
                (turns, before_s), worked_s = self._seen, time.clock_gettime(self._clock)
                if self._turns() == turns and worked_s - before_s > _WORK * _PATIENCE_S:
                    self._stand_in(self._polls[0])
                self._seen = (self._turns(), worked_s)
            self._alarm.put_off()
        self._alarm.close()

    def _next(self, patience_s: float, before: threading.Event, polls: threading.Event) -> None:
        while before.wait() and not self._over:
            turns, begun_s = self._turns(), time.clock_gettime(self._clock)
            time.sleep(patience_s)
            with suppress(OSError):
                worked_s = time.clock_gettime(self._clock) - begun_s
                if self._turns() == turns and worked_s > _WORK * patience_s:
                    self._stand_in(polls)

    def _stand_in(self, polls: threading.Event) -> None:
        polls.set()
        self._poll()
        if not self._over:
            polls.clear()


def _start(run: Callable[..., None], *words: object) -> None:
    threading.Thread(target=run, args=words, daemon=True, name="grpc stand-in").start()
