"""Tells whether anybody opens or reads a file, by the kernel's own word (inotify)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_ACCESS, _OPEN = 0x1, 0x20
_EVENT = struct.Struct("iIII")


@dataclass
class Watched:
    """Files, and those of them that were opened or read."""

    names: dict[int, str]
    touched: list[str] = field(default_factory=list)


@contextmanager
def watched(files: list[Path]) -> Iterator[Watched]:
    """Watch files; what was touched is known when the context has ended."""
    libc = ctypes.CDLL(None, use_errno=True)
    inotify = libc.inotify_init1(os.O_NONBLOCK)
    if inotify < 0:
        raise OSError(ctypes.get_errno(), "inotify cannot be had")
    names = {libc.inotify_add_watch(inotify, os.fsencode(file), _ACCESS | _OPEN): file.name for file in files}
    found = Watched(names)
    try:
        yield found
        found.touched += [names[watch] for watch in _events(inotify)]
    finally:
        os.close(inotify)


def _events(inotify: int) -> list[int]:
    """The watches that something was told of."""
    watches = []
    while True:
        try:
            data = os.read(inotify, 1 << 16)
        except BlockingIOError:
            return watches
        at = 0
        while at < len(data):
            watch, _, _, name_length = _EVENT.unpack_from(data, at)
            watches.append(watch)
            at += _EVENT.size + name_length
