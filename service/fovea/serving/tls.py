"""TLS of all three ports: files that have been looked into before anything listens."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from fovea.contract.errors import Misconfigured


@dataclass(frozen=True)
class Tls:
    """PEM files that fit each other."""

    cert: Path
    key: Path
    client_ca: Path | None
    """Callers show a certificate that it has signed."""

    def context(self) -> ssl.SSLContext:
        """What a server of Python's own wraps its sockets with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key, password="")  # a key with a password is an error, not a question
        if self.client_ca is not None:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def read_tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    """The settings' files; None without them. Misconfigured tells which is missing, or does not fit."""
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise Misconfigured(f"TLS needs tls_cert and tls_key: {'tls_cert' if cert is None else 'tls_key'} is missing")
    for name, path in (("tls_cert", cert), ("tls_key", key), ("tls_client_ca", client_ca)):
        _require_readable(name, path)
    tls = Tls(cert, key, client_ca)
    try:
        tls.context()
    except (ssl.SSLError, ValueError) as error:
        raise Misconfigured(_why(tls)) from error
    return tls


def _require_readable(name: str, path: Path | None) -> None:
    try:
        if path is not None:
            path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{name} {path} cannot be read: {error.strerror}") from error


def _why(tls: Tls) -> str:
    """Which of the files is at fault."""
    try:
        Tls(tls.cert, tls.key, None).context()
    except (ssl.SSLError, ValueError):
        return f"tls_cert {tls.cert} and tls_key {tls.key} are no certificate and its key (PEM, without a password)"
    return f"tls_client_ca {tls.client_ca} is no certificate (PEM)"
