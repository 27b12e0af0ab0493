"""What a caller is told of an error, whatever front it came by."""

from __future__ import annotations

import logging

from fovea.contract.errors import FoveaError
from fovea.runtime.printable import printable

log = logging.getLogger(__name__)

UNFORESEEN = "internal error; the server's log has the details"
"""What a caller gets where the server failed in a way that nobody thought of."""
_LONGEST_TEXT = 1000
_LONGEST_FOREIGN_TEXT = 500
"""Characters. gRPC's texts travel in headers of 8 KB in all, where a letter beyond ASCII takes up to 12 bytes."""


def as_fovea_error(error: Exception) -> FoveaError:
    """The error itself; one that was not foreseen is logged, and its text keeps to itself."""
    if isinstance(error, FoveaError):
        return error
    log.error("an unforeseen error", exc_info=error)
    return FoveaError(UNFORESEEN)


def text_of(error: FoveaError) -> str:
    """Its text, cut and printable."""
    text = str(error)
    return printable(text, _LONGEST_TEXT if text.isascii() else _LONGEST_FOREIGN_TEXT)
