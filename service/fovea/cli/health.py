"""`fovea health`: the probe that a container or a load balancer runs."""

from __future__ import annotations

import argparse

from fovea.cli.access import add_access, connect
from fovea.client import DEFAULT_ADDRESS, ONCE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which server, which model, how long to wait."""
    parser.add_argument("--server", default=DEFAULT_ADDRESS, metavar="ADDRESS", help="default: %(default)s")
    parser.add_argument("--model", default="", help="ask about this model, not about the whole server")
    parser.add_argument("--timeout", type=float, default=3.0, metavar="SECONDS", help="default: %(default)s")
    add_access(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the state; 0 when it serves, 1 when it does not or nobody answers."""
    with connect(arguments.server, arguments, arguments.timeout, ONCE) as client:
        healthy = client.healthy(arguments.model)
    print("serving" if healthy else "not serving")
    return 0 if healthy else 1
