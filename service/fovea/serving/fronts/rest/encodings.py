"""Bodies as they travel: gzip or deflate, unpacked and packed."""

from __future__ import annotations

import gzip
import zlib

from fovea.serving.fronts.rest.limits import Bound
from fovea.serving.fronts.rest.refusal import Refusal

_PACKED_MIN_BYTES = 1024
_LEVEL = 1
"""Zlib's fastest: packing must not cost more than the network it spares."""
_ANY_FORMAT = zlib.MAX_WBITS | 32


def unpacked(body: bytes, encoding: str, bound: Bound) -> bytes:
    """The body without its Content-Encoding."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise Refusal(415, f"Content-Encoding must be gzip or deflate, received '{encoding}'")
    unpacker = zlib.decompressobj(_ANY_FORMAT)
    try:
        data = unpacker.decompress(body, bound.bytes + 1)
    except zlib.error as error:
        raise Refusal(400, f"the body is no {encoding}: {error}") from error
    if len(data) > bound.bytes:
        raise bound.exceeded()
    if not unpacker.eof or unpacker.unused_data:
        raise Refusal(400, f"the body is no {encoding}: it is cut short, or goes on behind its end")
    return data


def packing(accepted: str) -> str:
    """What an Accept-Encoding header makes of an answer: gzip, deflate or ""."""
    offers = dict(_offer(offer) for offer in accepted.split(","))
    return next((name for name in ("gzip", "deflate") if offers.get(name)), "")


def _offer(offer: str) -> tuple[str, bool]:
    """A name, and whether it is wanted: `gzip;q=0` says that it is not."""
    name, _, quality = offer.partition(";")
    return name.strip().lower(), quality.strip() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")


def packed(data: bytes, encoding: str) -> bytes:
    return gzip.compress(data, _LEVEL, mtime=0) if encoding == "gzip" else zlib.compress(data, _LEVEL)


def is_worth_packing(data: bytes) -> bool:
    """Small answers fit into one packet as they are."""
    return len(data) >= _PACKED_MIN_BYTES
