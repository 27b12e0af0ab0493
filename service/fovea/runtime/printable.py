"""Reasons as they may be shown: text that any encoder takes, in bounded length."""

from __future__ import annotations

_LONGEST = 500


def printable(text: str, longest: int = _LONGEST) -> str:
    r"""The text, cut to `longest` characters, with what UTF-8 cannot encode as `\udcff`. File names hold it."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"
