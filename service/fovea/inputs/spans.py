"""Where in a caller's text a token comes from, counted in characters, whatever steps lie between the two."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

Span = tuple[int, int]
"""First character, and the one behind the last."""


class Piece(NamedTuple):
    """A token, and where it is: (0, 0) where it was added, as start and end are."""

    token: str
    span: Span = (0, 0)
    text: int = 0
    """1 in the second text of a pair."""


def origins(text: str, change: Callable[[str], str]) -> list[Span]:
    """Of each character of `change(text)`: the part of the text that it comes of.

    The text is cut before every letter that becomes something of its own: a combining mark, which may join a letter
    across other marks, one that is joined with the letter before it,
    or disappears, as an accent may, stays with that letter. Letters that change nothing are asked about once, so that a
    long text of them takes no longer than another.
    """
    if text.isascii() and len(change(text)) == len(text):
        return [(place, place + 1) for place in range(len(text))]
    found: list[Span] = []
    start, part, length = 0, "", 0
    for place, letter in enumerate(text):
        own, together = len(change(letter)), len(change(part + letter))
        if own and not unicodedata.combining(letter) and together == length + own:
            found += [(start, place)] * length
            start, part, length = place, letter, own
        elif own or together != length:
            part, length = part + letter, together
    return found + [(start, len(text))] * length


def traced(spans: Sequence[Span], source: Sequence[Span]) -> list[Span]:
    """Spans of a changed text, as spans of the text before, by the origins of its characters."""
    return [(source[first][0], source[last - 1][1]) if last > first else (0, 0) for first, last in spans]
