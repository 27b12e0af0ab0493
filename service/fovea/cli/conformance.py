"""`fovea conformance`: how well any server speaks the Open Inference Protocol; status 1 where a required case fails."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fovea.cli.amounts import seconds
from fovea.cli.connection_options import access_of, add_access, with_port
from fovea.client.conformance import Result, as_json, as_text, conforms, examine, summary
from fovea.contract.errors import Misconfigured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which server, which of its models, and where the report goes."""
    parser.add_argument("server", metavar="HOST:PORT", help="its gRPC address")
    http = "its HTTP address; default: the same host, and the port before gRPC's"
    parser.add_argument("--http", metavar="HOST:PORT", help=http)
    parser.add_argument("--model", default="", help="ask about this model; default: all in the repository's index")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report here as well, as JSON")
    parser.add_argument("--all", action="store_true", help="print the cases that passed, too")
    words = "longest wait for one answer; default: %(default)s"
    parser.add_argument("--timeout", type=seconds, default=5.0, metavar="SECONDS", help=words)
    add_access(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print each failed case as it fails and the sums at the end; 0 where all required ones pass, else 1."""
    if arguments.json is not None and not arguments.json.parent.is_dir():
        raise Misconfigured(f"{arguments.json} cannot be written: there is no folder {arguments.json.parent}")
    address = with_port(arguments.server)
    results: list[Result] = []
    http = _http_address(arguments.http, address)
    for result in examine(address, http, arguments.model, arguments.timeout, access_of(arguments)):
        results.append(result)
        if text := as_text(result, arguments.all):
            print(text, flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(as_json(results), indent=2, ensure_ascii=False) + "\n", "utf-8")
    print("\n".join(summary(results)))
    good = conforms(results)
    print("all required cases passed" if good else "not all required cases passed")
    return 0 if good else 1


def _http_address(given: str | None, grpc_address: str) -> str:
    host, _, port = (given or grpc_address).rpartition(":")
    if not (host and "/" not in host and port.isdecimal() and 0 < int(port) < 1 << 16):
        address = given or grpc_address
        raise Misconfigured(f"expected an HTTP address such as 127.0.0.1:8000 for --http, received {address!r}")
    return given or f"{host}:{int(port) - 1}"
