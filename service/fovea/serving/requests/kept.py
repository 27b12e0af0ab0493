"""A bounded memory for what is made again and again of the same things."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Where it is full, it begins anew: that is rare, and what is wanted comes back. Any thread may use it."""

    def __init__(self, most: int = 4096, most_bytes: int = 16 << 20) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._kept: dict[K, V] = {}
        self._bytes = 0
        self.get = self._kept.get
        """The value of a key, None where there is none."""

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value that takes so many bytes, its key included."""
        if len(self._kept) >= self._most or self._bytes + size > self._most_bytes:
            self._kept.clear()
            self._bytes = 0
        self._kept[key] = value
        self._bytes += size
