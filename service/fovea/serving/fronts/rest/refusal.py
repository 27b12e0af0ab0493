"""What HTTP refuses by itself: requests that cannot be read, that are too large, or for paths that there are not."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class Refusal(Exception):
    """A status, the text for the caller, and more headers. With `closes` the connection ends: where the next request
    would begin is not known, or not waited for.
    """

    def __init__(
        self, status: int, text: str, *, closes: bool = False, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(text)
        self.status, self.text = status, text
        self.closes, self.headers = closes, headers


def unreadable(text: str, status: int = 400) -> Refusal:
    """For what is no request, or none that this server takes: nobody knows where it ends."""
    return Refusal(status, text, closes=True)
