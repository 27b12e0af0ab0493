"""A timer that is put off again and again, and wakes a thread only where that is forgotten."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter: nothing here takes a microsecond
_MONOTONIC_CLOCK = 1


class Alarm:
    """Goes off so many seconds after the last `put_off`, by any thread; that wakes nobody."""

    def __init__(self, seconds: float) -> None:
        self._fd = _libc.timerfd_create(_MONOTONIC_CLOCK, os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "no timer is to be had")
        whole_s, part_s = divmod(seconds, 1.0)
        self._once = (ctypes.c_long * 4)(0, 0, int(whole_s), round(part_s * 1e9))

    def put_off(self) -> None:
        """Start the time from the beginning."""
        _libc.timerfd_settime(self._fd, 0, self._once, None)

    def wait(self) -> None:
        """Block until the time is over."""
        os.read(self._fd, 8)

    def close(self) -> None:
        """Close the timer; nobody may be waiting for it."""
        os.close(self._fd)
