"""Reasons as they may be shown: text that any encoder takes, in bounded length."""

from __future__ import annotations

_LONGEST = 500


def tellable(text: str) -> str:
    r"""The text with what UTF-8 cannot encode as `\udcff`, cut to 500 characters. File names can hold such things."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"
