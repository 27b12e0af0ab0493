"""When the certificates end that TLS is set up from, read from their bytes (X.509 in PEM): Python's ssl tells it of a
peer's certificate only.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from math import nan

from fovea.serving.security.tls import Tls

_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----(.+?)-----END (?:X509 )?CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME = 0xA0, 0x17
_SERIAL_ALGORITHM_ISSUER = 3
"""Elements of a certificate between its version, which may be absent, and its two times."""


def certificate_ends(tls: Tls | None) -> list[tuple[str, Callable[[], float]]]:
    """Setting -> when the first certificate in its file ends, in Unix time, of the files that are in use when asked."""
    if tls is None:
        return []
    ends = [("tls_cert", lambda: first_end(tls.now().cert))]
    if tls.now().client_ca is not None:
        ends.append(("tls_client_ca", lambda: first_end(tls.now().client_ca or b"")))
    return ends


def first_end(pem: bytes) -> float:
    """When the first of these certificates ends, in Unix time; NaN where that cannot be read."""
    try:
        return min(_end(base64.b64decode(found)) for found in _CERTIFICATE.findall(pem))
    except (ValueError, IndexError, StopIteration, TypeError):
        return nan


def _end(der: bytes) -> float:
    """Certificate = ((version?, serial, algorithm, issuer, (begin, end), …), …), each element with its length."""
    (_, signed), *_ = _elements(der)
    (_, facts), *_ = _elements(signed)
    elements = _elements(facts)
    kind, _ = next(elements)
    for _ in range(_SERIAL_ALGORITHM_ISSUER if kind == _VERSION else _SERIAL_ALGORITHM_ISSUER - 1):
        next(elements)
    _, times = next(elements)
    _, (kind, text) = _elements(times)
    return _moment(kind, text.decode())


def _moment(kind: int, text: str) -> float:
    """Two digits of a year are of 1950 to 2049."""
    year = text if kind != _UTC_TIME else ("19" if text >= "5" else "20") + text
    return datetime.strptime(year, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and contents of each element."""
    at = 0
    while at < len(der):
        kind, length, begin = der[at], der[at + 1], at + 2
        if length & 0x80:  # then so many bytes tell the length
            begin += length & 0x7F
            length = int.from_bytes(der[at + 2 : begin])
        at = begin + length
        yield kind, der[begin:at]
