"""The static API token: who shows one is let in. One check for gRPC and HTTP, over plain values."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from fovea.contract.errors import Misconfigured, Unauthenticated
from fovea.serving.security.private_files import warn_if_open
from fovea.serving.security.renewed import Renewed

HEADER = "authorization"
"""What carries it, in gRPC's metadata and over HTTP: `authorization: Bearer <token>`."""
PROBES = frozenset({"ServerLive", "ServerReady"})
"""RPCs that need no token, by whatever transport: those who ask are orchestrators and balancers."""


class Tokens:
    """The tokens of a file that open this server; Misconfigured where it has none, or a strange one.

    Kept as digests of one length, so that comparing tells nothing by its time.
    """

    def __init__(self, file: Path) -> None:
        self._digests = Renewed([file], lambda: [_digest(token) for token in _read(file)])

    def check(self, rpc: str, authorization: str | None) -> None:
        """Unauthenticated where an RPC needs a token and the header brings none that is right."""
        if rpc in PROBES:
            return
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip())
        right = [hmac.compare_digest(given, digest) for digest in self._digests.now()]
        if scheme.lower() != "bearer" or not any(right):
            raise Unauthenticated("this server asks for a token")


def read_tokens(file: Path | None) -> Tokens | None:
    """The tokens of a file; None without a file."""
    return None if file is None else Tokens(file)


def _read(file: Path) -> Sequence[str]:
    """The tokens of a file that has one on each line."""
    try:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise Misconfigured(f"token file {file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    for number, line in enumerate(lines, 1):
        if not (line.isascii() and line.isprintable() and " " not in line):
            raise Misconfigured(f"token file {file}, line {number}: a token is printable ASCII without blanks")
    warn_if_open("token_file", file)
    if not any(lines):
        raise Misconfigured(f"token file {file} is empty")
    return [line for line in lines if line]


def _digest(token: str) -> bytes:
    return blake2b(token.encode("utf-8", "surrogateescape"), digest_size=32).digest()
