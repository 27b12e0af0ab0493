"""Messages from a stranger's bytes."""

from __future__ import annotations

from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.grpc.header_bytes import require_small
from fovea.wire import message


def parse(kind: str, data: bytes, message_class: Any = None) -> Any:
    """A message of this name, one of ours or of a class; InvalidRequest where the bytes are none."""
    try:
        return (message_class or message(kind)).FromString(data)
    except Exception as error:  # protobuf's DecodeError has no stable home
        raise InvalidRequest(f"the request is no {kind}: its bytes cannot be parsed") from error


def parse_small(kind: str, data: bytes, message_class: Any = None) -> Any:
    """The same of a message that has no tensors; InvalidRequest also where it is too large."""
    require_small(kind, data)
    return parse(kind, data, message_class)
