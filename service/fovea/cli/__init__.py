"""The command `fovea`. Each subcommand is one file here, imported only when it is the one that was asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from fovea import __version__
from fovea.contract.errors import FoveaError


@dataclass(frozen=True)
class Arm:
    """A subcommand: its line in the help, and the module that has `add_arguments(parser)` and `run(arguments)`."""

    summary: str
    module: str


ARMS: dict[str, Arm] = {
    "serve": Arm("serve a model repository over gRPC and HTTP", "fovea.cli.serve"),
    "export": Arm("turn trained attention models into ONNX", "fovea.cli.export"),
    "models": Arm("list models on disk or on a server", "fovea.cli.models"),
    "infer": Arm("classify a picture or a text, and draw an attention map over a picture", "fovea.cli.infer"),
    "doctor": Arm("find out what a server runs on here, and what is wrong", "fovea.cli.doctor"),
    "conformance": Arm("find out how well a server speaks the Open Inference Protocol", "fovea.cli.conformance"),
    "health": Arm("ask a server whether it is serving; exit status 0 or 1", "fovea.cli.health"),
    "cluster": Arm("write and check a configuration of HAProxy that balances several servers", "fovea.cli.cluster"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status. A FoveaError becomes one line on standard error and status 1."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is told here, in one line
    try:
        arguments = _parsed(list(sys.argv[1:] if argv is None else argv))
        return int(arguments.run(arguments))
    except FoveaError as error:
        print(f"fovea: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone: `fovea models | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parsed(words: list[str]) -> argparse.Namespace:
    parser = _parser(chosen=words[0] if words else "")
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        refuse = getattr(arguments, "refuse", parser.error)  # the command's own, where one is chosen
        refuse(f"unrecognized arguments: {' '.join(unknown)}")
    return arguments


def _parser(chosen: str) -> argparse.ArgumentParser:
    """The parser; of the subcommands, only the chosen one's module is imported."""
    parser = argparse.ArgumentParser(prog="fovea", description="Serve models with attention, and see where they look.")
    parser.add_argument("--version", action="version", version=f"fovea {__version__}")
    arms = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, arm in ARMS.items():
        subparser = arms.add_parser(name, help=arm.summary, description=arm.summary[0].upper() + arm.summary[1:] + ".")
        if name == chosen:
            module = importlib.import_module(arm.module)
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run, refuse=subparser.error)
    return parser


def _one_line(error: FoveaError) -> str:
    return " ".join(str(error).split()) or type(error).__name__
