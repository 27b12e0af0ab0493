"""The connection to a server: plain or over TLS, with a token or without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import grpc

from fovea.contract.errors import Misconfigured

DEFAULT_ADDRESS = "127.0.0.1:8001"
MAX_MESSAGE_BYTES = 2**31 - 1
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # gRPC waits 1 s, then up to 120 s, before it connects again: a server that restarts is back sooner. Not touched is
    # the shortest pause, for gRPC takes it as the time that an attempt may last: a busy server needs more than 0.1 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


class Access(TypedDict, total=False):
    """How a secured server is reached. Nothing: in clear text, without a token."""

    tls: bool
    """TLS, the server's certificate signed by an authority that this machine knows."""
    tls_ca: str | Path
    """TLS, the server's certificate signed by the authority in this PEM file."""
    tls_cert: str | Path
    """TLS with a certificate of one's own (PEM), which a server may ask for; needs `tls_key`."""
    tls_key: str | Path
    tls_name: str
    """TLS with another name in the server's certificate than the address has."""
    token: str
    """Sent with each call as `authorization: Bearer <token>`."""


def open_channel(module: Any, address: str, access: Access, options: Sequence[tuple[str, int]] = OPTIONS) -> Any:
    """A channel of `grpc` or `grpc.aio`; Misconfigured where a file cannot be read, or a certificate has no key."""
    credentials = _credentials(access)
    if credentials is None:
        return module.insecure_channel(address, options)
    name = access.get("tls_name")
    named = [("grpc.ssl_target_name_override", name)] if name else []
    return module.secure_channel(address, credentials, [*options, *named])


def token_metadata(access: Access) -> tuple[tuple[str, str], ...]:
    """What a call carries to show its token."""
    token = access.get("token", "")
    return (("authorization", f"Bearer {token}"),) if token else ()


def _credentials(access: Access) -> grpc.ChannelCredentials | None:
    ca, key, cert = (_read(access.get(name)) for name in ("tls_ca", "tls_key", "tls_cert"))
    if (key is None) != (cert is None):
        raise Misconfigured("tls_cert and tls_key go together, and one of them is missing")
    if ca is None and cert is None and not (access.get("tls") or access.get("tls_name")):
        return None
    return grpc.ssl_channel_credentials(ca, key, cert)


def _read(path: Any) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}") from error


class Stubs:
    """The callables of a channel (of `grpc` or `grpc.aio`), from bytes to bytes, each made once."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._made: dict[str, Any] = {}

    def __getitem__(self, path: str) -> Any:
        if path not in self._made:
            self._made[path] = self._channel.unary_unary(path)
        return self._made[path]
