"""A process with calls in flight, to be killed: `python -m tests.torture.killed_caller ADDRESS CALLS`."""

from __future__ import annotations

import sys
import threading

import grpc
from tests.torture.callers_leaving import PATIENCE_S, REQUESTS

from fovea import wire


def main(address: str, calls: int) -> None:
    """Starts the calls, says so, and stays."""
    channel = grpc.insecure_channel(address)
    grpc.channel_ready_future(channel).result(PATIENCE_S)
    infer = channel.unary_unary(wire.path("ModelInfer"))
    kept = [infer.future(REQUESTS[0], timeout=PATIENCE_S) for _ in range(calls)]
    print(f"{len(kept)} calls", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
