"""How a command reaches a secured server: TLS and a token, the same flags for all of them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Container
from pathlib import Path

from fovea.cli.setting_flags import setting, variable
from fovea.client import Access, Client, Retry
from fovea.contract.errors import Misconfigured

PATIENCE_S = 10.0
"""Longest wait for an answer, of commands that have no flag for it."""

FLAGS: dict[str, str] = {
    "tls_ca": "TLS; the certificate (PEM) of the authority that signed the server's, or the server's own",
    "tls_name": "the name in the server's certificate, where it is not the address's",
    "tls_cert": "TLS with a certificate (PEM) of one's own, where the server asks for one",
    "tls_key": "the key (PEM) of that certificate",
    "token_file": f"file whose first line is the token that the server asks for [{variable('token_file')}]",
}


_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[\w.-]+)(:(?P<port>\d{1,5}))?")
_OTHER_TARGETS = ("unix:", "unix-abstract:", "vsock:", "dns:", "ipv4:", "ipv6:", "xds:")
"""Schemes of gRPC's that name a server too; what follows is gRPC's to understand."""
_PORT = 8001


def add_access(parser: argparse.ArgumentParser, known: Container[str] = ()) -> None:
    """The flags of a secured server, but for those that the parser has already."""
    parser.add_argument(
        "--tls", action="store_true", help="TLS; this machine knows who signed the server's certificate"
    )
    for name, words in FLAGS.items():
        if name not in known:
            flag = "--" + name.replace("_", "-")
            parser.add_argument(flag, dest=name, metavar=name.rsplit("_", 1)[-1].upper(), help=words)


def connect(
    address: str,
    arguments: argparse.Namespace,
    timeout_s: float,
    retry: Retry,
    otherwise: Callable[[], Access] = Access,
) -> Client:
    """A client that shows the server what the flags say; Misconfigured where a file of theirs cannot be read.

    An address without a port means gRPC's usual one here. `otherwise` is asked where no flag is about TLS.
    """
    return Client(with_port(address), timeout_s, retry, **access_of(arguments, otherwise))


def with_port(address: str) -> str:
    """`host:port`, or another target that gRPC knows; Misconfigured where it is neither."""
    if address.startswith(_OTHER_TARGETS):
        return address
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise Misconfigured(f"expected the address of a gRPC server such as 127.0.0.1:{_PORT}, received {address!r}")
    return address if found["port"] else f"{address}:{_PORT}"


def access_of(arguments: argparse.Namespace, otherwise: Callable[[], Access] = Access) -> Access:
    """What the flags say a secured server is to see; see `connect`."""
    names = ("tls", "tls_ca", "tls_name", "tls_cert", "tls_key")
    given = {name: value for name in names if (value := getattr(arguments, name, None))}
    token_file = getattr(arguments, "token_file", None) or setting("token_file")
    token = {"token": _token(Path(token_file))} if token_file else {}
    return {**(given or otherwise()), **token}  # type: ignore[typeddict-item]


def _token(path: Path) -> str:
    try:
        lines = path.read_text("utf-8").split()
    except (OSError, ValueError) as error:
        raise Misconfigured(f"token file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not lines:
        raise Misconfigured(f"token file {path} is empty")
    return lines[0]
