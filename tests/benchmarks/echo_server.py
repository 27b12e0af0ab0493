"""A bare `grpc.aio` echo: no parsing, no checks, no metrics; the usual way to serve in Python. Prints its port.

It runs on asyncio's own event loop whatever else is installed, so that the figures of two machines compare.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from fovea import wire


async def _echo(request: bytes, _: Any) -> bytes:
    return request


async def _serve() -> None:
    server = grpc.aio.server()
    handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(_echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(wire.SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve())
