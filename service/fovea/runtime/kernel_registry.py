"""Which kernels a library has: operator x device x datatype, as the library's own registry lists them."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import NamedTuple

_SYMBOL = "FoveaListKernels"


class Kernel(NamedTuple):
    """One kernel: what it computes, where, and on what numbers."""

    operator: str
    device: str
    """As `fovea.runtime.device.Device.kind`."""
    datatype: str
    """The protocol's name."""


def kernels_in(library: Path) -> frozenset[Kernel] | None:
    """Every kernel of a library; None where it does not list them. It is loaded: ask only one that has been tried."""
    try:
        ask = ctypes.CDLL(str(library))[_SYMBOL]
    except (OSError, AttributeError):
        return None
    ask.restype, ask.argtypes = ctypes.c_size_t, (ctypes.c_void_p, ctypes.c_size_t)
    count = ask(None, 0)
    entries = (ctypes.c_char_p * (len(Kernel._fields) * count))()
    ask(entries, count)
    texts = [(text or b"").decode("ascii", "replace") for text in entries]
    return frozenset(Kernel(*texts[at : at + 3]) for at in range(0, len(texts), 3))
