"""Unix sockets beside the ports: files in a folder through which callers on this machine reach gRPC and HTTP."""

from __future__ import annotations

import socket
from pathlib import Path

from fovea.contract.errors import Misconfigured
from fovea.serving.addresses import BACKLOG

GRPC_SOCKET, HTTP_SOCKET = "grpc.sock", "http.sock"
_MODE = 0o660
"""The user of the server and its group may connect."""


def cleared(folder: Path, name: str) -> Path:
    """Where a socket is to be: what a server left there that has ended is removed. Misconfigured for anything else."""
    path = folder.absolute() / name
    if path.is_socket():
        _require_left_behind(path)
        path.unlink()
    elif path.exists():
        raise Misconfigured(f"cannot listen on {path}: it is a file, and no socket")
    return path


def _require_left_behind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)  # a server that has stopped taking callers in would keep this one waiting
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            return
        except OSError as error:
            raise Misconfigured(f"cannot listen on {path}: {error.strerror}") from error
    raise Misconfigured(f"cannot listen on {path}: another server does")


def listening(path: Path) -> socket.socket:
    """A socket that listens there; Misconfigured where it cannot."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Misconfigured(f"cannot listen on {path}: {error.strerror or error}") from error
    let_in(path)
    return listener


def let_in(path: Path) -> None:
    """Let the user and the group connect, and nobody else."""
    path.chmod(_MODE)


def remove(folder: Path) -> None:
    """The sockets of a server that ends."""
    for name in (GRPC_SOCKET, HTTP_SOCKET):
        (folder / name).unlink(missing_ok=True)
