"""Protobuf's wire format, as much as it takes to walk a file: fields are found, and what nobody asks for is skipped.

Nothing is copied but what is asked for, so gigabytes of weights cost nothing, and the walk ends after so many fields.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10
Field = tuple[int, int | memoryview]
"""Number, and value: a whole number, or the bytes of a text or of a message."""


class Unreadable(ValueError):
    """What is no protobuf message, or too large a one to be walked."""


class Steps:
    """How much of a file may still be looked at; Unreadable once it is used up."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, count: int = 1) -> None:
        """Some of them; one is a field."""
        self._left -= count
        if self._left < 0:
            raise Unreadable("it is too large to be looked into")


def fields(message: memoryview, steps: Steps) -> Iterator[Field]:
    """The fields of a message in order, without numbers of fixed width; Unreadable where it is none."""
    at, end = 0, len(message)
    while at < end:
        steps.take()
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
        elif kind == _BYTES:
            size, at = _varint(message, at)
            if size > end - at:
                raise Unreadable("it is cut short")
            yield number, message[at : at + size]
            at += size
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise Unreadable("it is no protobuf message")


def text(value: int | memoryview) -> str:
    """A field that is a text."""
    return bytes(value).decode("utf-8", "replace") if isinstance(value, memoryview) else ""


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    if at < len(message) and message[at] < 0x80:
        return message[at], at + 1
    value = 0
    for place, byte in enumerate(message[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise Unreadable("it is no protobuf message")
