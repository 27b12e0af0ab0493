"""`fovea doctor`: what a server would find here, or what a running one tells; status 1 where something is wrong."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable

from rich.console import Console

from fovea.cli.connection_options import PATIENCE_S, add_access, connect
from fovea.cli.extras import require
from fovea.cli.findings import Finding, as_json, as_text
from fovea.cli.own_server import own_access
from fovea.cli.setting_flags import add_settings, settings_of
from fovea.client import ONCE, Client
from fovea.contract.errors import FoveaError
from fovea.serving.settings import Settings

_NEIGHBOUR_PATIENCE_S = 2.0
"""How long a server on the same machine may take to answer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every flag of `fovea serve`, so that its command line can be examined as it stands."""
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.add_argument("--server", metavar="ADDRESS", help="ask a running server instead, e.g. 127.0.0.1:8001")
    add_settings(parser)
    add_access(parser, known=Settings.model_fields)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 0 where nothing is wrong, else 1."""
    findings = list(_findings(arguments))
    if arguments.json:
        print(json.dumps(as_json(findings), indent=2, ensure_ascii=False))
    else:
        Console(soft_wrap=True, highlight=False).print(as_text(findings))
    return int(any(one.wrong for one in findings))


def _findings(arguments: argparse.Namespace) -> Iterable[Finding]:
    if arguments.server:
        from fovea.cli.remote_checkup import remote_checkup

        with connect(arguments.server, arguments, PATIENCE_S, ONCE) as client:
            return list(remote_checkup(client))
    settings = settings_of(arguments)
    require("doctor", ("onnxruntime",), ("cpu", "gpu"))
    from fovea.cli.checkup import checkup

    return checkup(settings, lambda address: _serves(address, settings))


def _serves(address: str, settings: Settings) -> bool:
    """Whether a server with these settings answers."""
    try:
        access = own_access(address, settings.tls_cert, settings.tls_key)
        with Client(address, _NEIGHBOUR_PATIENCE_S, ONCE, **access) as client:
            return client.healthy()
    except FoveaError:  # its certificate cannot be read, or is not the one that is shown
        return False
