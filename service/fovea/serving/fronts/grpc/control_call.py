"""One call of an RPC that is no inference: bytes in, bytes out."""

from __future__ import annotations

import logging
from typing import Any

from fovea.serving.control.rpcs import Control
from fovea.serving.engines.reply import Reply
from fovea.serving.fronts.grpc.control_messages import request_of
from fovea.serving.fronts.grpc.parsing import parse_small
from fovea.serving.requests.error_text import as_fovea_error

log = logging.getLogger(__name__)


def answer_control(control: Control, rpc: str, reply: Reply[Any], data: bytes) -> None:
    """Answer it or refuse it; never raises."""
    try:
        request = request_of(rpc, parse_small(f"{rpc}Request", data))
        reply.send(control.answer(rpc, request, lambda: reply.gone))
    except Exception as error:
        log.debug("refused: %s", error)
        reply.send(as_fovea_error(error))
