"""How a command reaches a secured server: TLS and a token, the same flags for all of them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Container
from pathlib import Path

from fovea.client import Access, Client, Retry
from fovea.contract.errors import Misconfigured

TOKEN_FILE_VARIABLE = "FOVEA_TOKEN_FILE"
PATIENCE_S = 10.0
"""Longest wait for an answer, of commands that have no flag for it."""

FLAGS: dict[str, str] = {
    "tls_ca": "TLS; the certificate (PEM) of the authority that signed the server's, or the server's own",
    "tls_name": "the name in the server's certificate, where it is not the address's",
    "tls_cert": "TLS with a certificate (PEM) of one's own, where the server asks for one",
    "tls_key": "the key (PEM) of that certificate",
    "token_file": f"file whose first line is the token that the server asks for [{TOKEN_FILE_VARIABLE}]",
}


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

    `otherwise` is asked where no flag is about TLS.
    """
    return Client(address, timeout_s, retry, **_access(arguments, otherwise))


def _access(arguments: argparse.Namespace, otherwise: Callable[[], Access]) -> Access:
    names = ("tls", "tls_ca", "tls_name", "tls_cert", "tls_key")
    given = {name: value for name in names if (value := getattr(arguments, name, None))}
    token_file = getattr(arguments, "token_file", None) or os.environ.get(TOKEN_FILE_VARIABLE)
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
