"""One call of an RPC that is no inference: bytes in, bytes out."""

from __future__ import annotations

import logging

from fovea.serving.control.rpcs import Control
from fovea.serving.fronts.grpc.call_reply import Call
from fovea.serving.fronts.grpc.parsing import parse_small
from fovea.serving.fronts.grpc.status import status_of

log = logging.getLogger(__name__)


def control_call(control: Control, rpc: str, call: Call, data: bytes) -> None:
    """Answer it or refuse it; never raises."""
    try:
        call.finish(control.answer(rpc, parse_small(f"{rpc}Request", data)).SerializeToString())
    except Exception as error:
        log.debug("refused: %s", error)
        call.refuse(*status_of(error))
