"""`fovea health`: the probe that a container or a load balancer runs."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from fovea.cli.amounts import seconds
from fovea.cli.connection_options import add_access, connect
from fovea.cli.own_server import own_access, own_address, own_certificate
from fovea.client import ONCE, Access
from fovea.contract.errors import DeadlineExceeded, NotFound, Unavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which server, which model, how long to wait."""
    words = f"default: {own_address()}, the server that the same variables start"
    parser.add_argument("--server", metavar="ADDRESS", help=words)
    parser.add_argument("--model", default="", help="ask about this model, not about the whole server")
    parser.add_argument("--timeout", type=seconds, default=3.0, metavar="SECONDS", help="default: %(default)s")
    add_access(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the state; 0 when it serves, 1 when it does not, when there is no such model, or when nobody answers."""
    address = arguments.server or own_address()
    otherwise = Access if arguments.server else partial(own_access, address, *own_certificate())
    try:
        with connect(address, arguments, arguments.timeout, ONCE, otherwise) as client:
            serving = client.check(arguments.model)
    except NotFound:
        print(f"unknown model '{arguments.model}'")
        return 1
    except (Unavailable, DeadlineExceeded) as error:
        print("not serving")
        print(f"fovea: {error}", file=sys.stderr)
        return 1
    print("serving" if serving else "not serving")
    return 0 if serving else 1
