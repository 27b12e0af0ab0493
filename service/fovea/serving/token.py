"""The static API token: who shows one is let in. One check for gRPC and HTTP, over plain values."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from fovea.contract.errors import Misconfigured, Unauthenticated

HEADER = "authorization"
"""What carries it, in gRPC's metadata and over HTTP: `authorization: Bearer <token>`."""
PROBES = frozenset({"ServerLive", "ServerReady"})
"""RPCs that need no token, by whatever transport: those who ask are orchestrators and balancers."""


class Tokens:
    """The tokens that open this server. Kept as digests of one length, so that comparing tells nothing by its time."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._digests = [_digest(token) for token in tokens]

    def check(self, rpc: str, authorization: str | None) -> None:
        """Unauthenticated where an RPC needs a token and the header brings none that is right."""
        if rpc in PROBES:
            return
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip())
        right = [hmac.compare_digest(given, digest) for digest in self._digests]
        if scheme.lower() != "bearer" or not any(right):
            raise Unauthenticated("this server asks for a token")


def read_tokens(path: Path | None) -> Tokens | None:
    """The tokens of a file, one a line; None without a file. Misconfigured where it has none, or a strange one."""
    if path is None:
        return None
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise Misconfigured(f"token file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    tokens = [line for line in lines if line]
    if not tokens:
        raise Misconfigured(f"token file {path} is empty")
    for number, line in enumerate(lines, 1):
        if not (line.isascii() and line.isprintable() and " " not in line):
            raise Misconfigured(f"token file {path}, line {number}: a token is printable ASCII without blanks")
    return Tokens(tokens)


def _digest(token: str) -> bytes:
    return blake2b(token.encode("utf-8", "surrogateescape"), digest_size=32).digest()
