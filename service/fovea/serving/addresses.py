"""Where to listen: IPv4, a name, or IPv6 by the colons in it."""

from __future__ import annotations

import socket


def family_of(host: str) -> socket.AddressFamily:
    """The socket family that listens on this host."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def address_of(host: str, port: int) -> str:
    """Host and port as clients write them: `[::1]:8001`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
