"""`fovea cluster`: a configuration of HAProxy before several servers, written and, where asked, checked by HAProxy."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from fovea.cli.amounts import count
from fovea.cli.haproxy_config import Listening, discovered, haproxy_config, replica, servers
from fovea.contract.errors import InvalidRequest, Misconfigured

_PATIENCE_S = 60.0
_REPLICA_HELP = "a server: name or address, with its ports where they are not 8001:8000:8003; AGENT 0: it has none"
_DNS_HELP = (
    "instead: a name behind which DNS tells every server: a service of Compose (fovea), a headless one of Kubernetes, "
    "in full (fovea-pods.default.svc.cluster.local)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which servers, and where HAProxy listens."""
    form = "HOST[:GRPC[:HTTP[:AGENT]]]"
    parser.add_argument("replicas", nargs="*", metavar=form, help=_REPLICA_HELP)
    parser.add_argument("--dns", metavar=form, help=_DNS_HELP)
    parser.add_argument("--most", type=count, default=20, help="with --dns: most servers [default: %(default)s]")
    parser.add_argument("--bind", default=Listening.host, metavar="HOST", help="[default: %(default)s]; * is every one")
    for name in ("grpc", "http", "metrics"):
        port = getattr(Listening, name)
        parser.add_argument(f"--bind-{name}", type=count, default=port, metavar="PORT", help="[default: %(default)s]")
    parser.add_argument("--output", type=Path, metavar="FILE", help="[default: standard output]")
    parser.add_argument("--check", action="store_true", help="have haproxy, which must be installed, look at it first")


def run(arguments: argparse.Namespace) -> int:
    """Write it; where it is wrong and --check was asked for, Misconfigured, and nothing is written."""
    if bool(arguments.replicas) == bool(arguments.dns):
        raise InvalidRequest("name either the servers, or --dns NAME")
    found = servers([*map(replica, arguments.replicas)])
    places = discovered(replica(arguments.dns), arguments.most) if arguments.dns else found
    ports = (arguments.bind_grpc, arguments.bind_http, arguments.bind_metrics)
    text = haproxy_config(places, Listening(arguments.bind, *ports))
    if arguments.check:
        check(text)
    if arguments.output is None:
        print(text, end="")
    else:
        arguments.output.write_text(text)
    return 0


def check(text: str) -> None:
    """Misconfigured with what HAProxy says of it, or where there is no HAProxy."""
    program = shutil.which("haproxy")
    if program is None:
        raise Misconfigured("it cannot be checked: this machine has no haproxy (apt-get install haproxy)")
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(text)
        file.flush()
        words = [program, "-c", "-f", file.name]
        checked = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE_S)
    if checked.returncode:
        said = [line for line in checked.stderr.splitlines() if "[ALERT]" in line]
        raise Misconfigured(f"haproxy refuses it: {'; '.join(said) or checked.stderr}")
