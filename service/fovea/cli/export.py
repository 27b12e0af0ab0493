"""`fovea export`: recipes by name, or anybody's own module by `package.module:factory`."""

from __future__ import annotations

import argparse
from pathlib import Path

from fovea.cli.extras import require
from fovea.contract.errors import InvalidRequest

_INPUT_HELP = "may be repeated; T is the length of a sequence: tokens=1xT:int64"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to export, and where to; the lower half is for a module of one's own."""
    parser.add_argument("what", nargs="*", metavar="NAME | MODULE:FACTORY", help="recipes, or one factory of a module")
    parser.add_argument("--all", action="store_true", help="every recipe")
    parser.add_argument("--repository", type=Path, default=Path("exported_models"), help="default: %(default)s")
    own = parser.add_argument_group("a module of your own")
    own.add_argument("--name", help="what the model is called when it is served")
    own.add_argument("--weights", type=Path, metavar="FILE", help="its state dict; without it, as the factory makes it")
    own.add_argument("--input", action="append", default=[], metavar="NAME=1x3x224x224[:DTYPE]", help=_INPUT_HELP)
    own.add_argument("--mask", metavar="INPUT", help="the input that is 1 or true where a sequence has data")
    own.add_argument("--buckets", type=_lengths, default=(), metavar="16,32,64", help="lengths to group sequences by")
    own.add_argument("--labels", type=Path, metavar="FILE", help="one label a line")
    own.add_argument("--version", type=int, help="version number; default: the next free one")


def run(arguments: argparse.Namespace) -> int:
    """Export and print the folder of each new version."""
    require("export", ("torch", "onnx", "onnxscript"), ("export",))
    for folder in _export(arguments):
        print(folder)
    return 0


def _export(arguments: argparse.Namespace) -> list[Path]:
    if any(":" in word for word in arguments.what):
        return [_export_module(arguments)]
    from fovea.export.command import export_recipes
    from fovea.recipes.catalogue import RECIPES

    names = list(RECIPES) if arguments.all else arguments.what
    if not names:
        raise InvalidRequest(f"name a recipe ({', '.join(RECIPES)}), or --all, or module:factory")
    if unknown := sorted(set(names) - set(RECIPES)):
        raise InvalidRequest(f"no recipe {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    return list(export_recipes(names, arguments.repository))


def _export_module(arguments: argparse.Namespace) -> Path:
    if len(arguments.what) != 1 or not arguments.name or not arguments.input:
        raise InvalidRequest("a module of your own needs one MODULE:FACTORY, --name NAME and --input NAME=SHAPE")
    from fovea.export.command import export_module

    return export_module(
        arguments.what[0],
        arguments.weights,
        arguments.input,
        arguments.name,
        arguments.repository,
        version=arguments.version,
        labels=arguments.labels,
        mask=arguments.mask,
        buckets=arguments.buckets,
    )


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(length) for length in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected lengths such as 16,32,64, received {text!r}") from None
