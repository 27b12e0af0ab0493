"""How the container's probe reaches the server beside it, which has its certificate from the same settings."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fovea.cli.setting_flags import setting
from fovea.client import Access
from fovea.contract.errors import Misconfigured
from fovea.serving.addresses import address_of

_PATIENCE_S = 3.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a server that listens everywhere is found on its own machine."""


def own_address() -> str:
    """The address at which the server of these settings listens."""
    host = setting("host")
    return address_of(_LOOPBACK.get(host, host), setting("grpc_port"))


def own_certificate() -> tuple[Path | None, Path | None]:
    """Its certificate and key, where variables name them."""
    return setting("tls_cert"), setting("tls_key")


def own_access(address: str, cert: Path | None, key: Path | None) -> Access:
    """Nothing where the server has no certificate, as it speaks no TLS; else what that makes possible.

    That certificate is the one that is trusted, by the name that it has, and is shown as the caller's: where callers
    need one of another authority, flags must name it.
    """
    if cert is None or key is None:
        return {}
    return {"tls_ca": cert, "tls_cert": cert, "tls_key": key, "tls_name": _name(address, cert)}


def _name(address: str, cert: Path) -> str:
    """The first name in the certificate that the server shows, as far as it is this one."""
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(cert)
        with (
            socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S) as plain,
            context.wrap_socket(plain) as secured,
        ):
            shown = secured.getpeercert() or {}
    except OSError as error:  # an SSLError is one too
        raise Misconfigured(f"no server with the certificate {cert} answers at {address}: {error}") from error
    return _first_name(dict(shown)).replace("*", "any")


def _first_name(shown: Mapping[str, Any]) -> str:
    names = [name for kind, name in shown.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    return str(names[0]) if names else "localhost"
