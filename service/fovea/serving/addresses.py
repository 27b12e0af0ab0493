"""Where to listen: an address, or every address that a name has; `::` is both families at once, as for gRPC."""

from __future__ import annotations

import os
import socket

BACKLOG = 1024


def address_of(host: str, port: int) -> str:
    """Host and port as clients write them: `[::1]:8001`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listeners(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of a host, all on one port; OSError where none can be had.

    An address of a name that this machine does not have, as `localhost` often is `::1` too, is passed over.
    """
    found: list[socket.socket] = []
    problem = OSError(f"{host} is no address")
    for family, address in _addresses(host):
        try:
            found.append(_listener(family, address, found[0].getsockname()[1] if found else port))
        except OSError as error:
            problem = OSError(error.errno, os.strerror(error.errno or 0))  # less what Python adds
    if not found:
        raise problem
    return found


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    facts = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in facts))


def _listener(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    return socket.create_server((address, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
