"""What the kernels took, by their own account: the kernel library counts per thread, and is asked after each run."""

from __future__ import annotations

import ctypes
from pathlib import Path

_SYMBOL = "FoveaReadTally"
_FIELDS = 3
"""Fields of an entry, 8 bytes each: address of the operator's static name, nanoseconds, calls."""
_MOST_ENTRIES = 64


class Tally:
    """Reads the tally of the calling thread, which starts anew with each reading. Used by one thread at a time."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._read = library[_SYMBOL]
        self._read.restype = ctypes.c_size_t
        self._read.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
        self._entries = (ctypes.c_int64 * (_FIELDS * _MOST_ENTRIES))()
        self._cells = memoryview(self._entries).cast("B").cast("q")
        self._names: dict[int, str] = {}

    def seconds(self) -> dict[str, float]:
        """Operator -> seconds on this thread since this thread last asked; only operators that ran."""
        cells, names = self._cells, self._names
        end = _FIELDS * self._read(self._entries, _MOST_ENTRIES)
        return {names.get(cells[at]) or self._name(cells[at]): cells[at + 1] * 1e-9 for at in range(0, end, _FIELDS)}

    def _name(self, address: int) -> str:
        return self._names.setdefault(address, ctypes.string_at(address).decode("ascii", "replace"))


def open_tally(library: Path) -> Tally | None:
    """The tally of a library that a session has loaded; None where the library keeps none."""
    # PyDLL keeps the interpreter's lock: the call takes less time than it takes to get the lock back.
    loaded = ctypes.PyDLL(str(library))
    return Tally(loaded) if hasattr(loaded, _SYMBOL) else None
