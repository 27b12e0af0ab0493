"""TLS of all three ports: files that have been looked into before anything listens, and may be renewed later."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from fovea.contract.errors import Misconfigured
from fovea.serving.security.private_files import warn_if_open
from fovea.serving.security.renewed import Renewed


@dataclass(frozen=True)
class TlsFiles:
    """The PEM files that TLS is set up from."""

    cert: Path
    key: Path
    client_ca: Path | None
    """Callers show a certificate that it has signed."""

    def all(self) -> list[Path]:
        """Every file that was named."""
        return [self.cert, self.key, *([self.client_ca] if self.client_ca else [])]

    def context(self) -> ssl.SSLContext:
        """What a server of Python's own wraps its sockets with; OSError or ValueError where they do not fit."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key, password="")  # a key with a password is an error, not a question
        if self.client_ca is not None:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass(frozen=True)
class TlsMaterial:
    """What the files held: PEM bytes that fit each other, and the same as a context."""

    cert: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext


class Tls:
    """TLS from files; a new connection begins with what they hold then. Misconfigured where they do not fit."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._material = Renewed(files.all(), lambda: _read(files))

    def now(self) -> TlsMaterial:
        """For a connection that begins now; the same object until the files have changed."""
        return self._material.now()


def read_tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    """The settings' files; None without them. Misconfigured tells which is missing, or does not fit."""
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise Misconfigured(f"TLS needs tls_cert and tls_key: {'tls_cert' if cert is None else 'tls_key'} is missing")
    return Tls(TlsFiles(cert, key, client_ca))


def _read(files: TlsFiles) -> TlsMaterial:
    cert, key, client_ca = (
        _bytes_of(name, path)
        for name, path in (("tls_cert", files.cert), ("tls_key", files.key), ("tls_client_ca", files.client_ca))
    )
    warn_if_open("tls_key", files.key)
    try:
        return TlsMaterial(cert or b"", key or b"", client_ca, files.context())
    except (OSError, ValueError) as error:
        raise Misconfigured(_why(files)) from error


def _bytes_of(name: str, path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{name} {path} cannot be read: {error.strerror}") from error


def _why(files: TlsFiles) -> str:
    """Which of the files is at fault."""
    try:
        TlsFiles(files.cert, files.key, None).context()
    except (OSError, ValueError):
        return f"tls_cert {files.cert} and tls_key {files.key} are no certificate and its key (PEM, without a password)"
    return f"tls_client_ca {files.client_ca} is no certificate (PEM)"
