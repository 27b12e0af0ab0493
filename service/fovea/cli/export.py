"""`fovea export`: recipes by name, or anybody's own module by `package.module:factory`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from shlex import quote

from fovea.cli.amounts import count
from fovea.cli.extras import require
from fovea.cli.setting_flags import flag, setting, variable
from fovea.contract.attention import AttentionType
from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import CARD_FILE, ModelCard

OWN = ("name", "weights", "input", "labels", "preprocessing", "steps", "mask", "buckets", "attention", "version")
"""Flags of a module of one's own; of a recipe all of that is known."""
_PREPROCESSING_HELP = "what pictures become: L or RGB in [0, 1], then (x - MEAN) / STD; one number, or one a channel"
_STEPS_HELP = "more of it, and texts: a JSON file, input -> list of steps, with the vocabulary that it names beside it"
_ASKED = {"picture": "PICTURE", "text": "'some text'"}
"""What a model takes -> what is put to it."""
_INPUT_HELP = "may be repeated; a word such as T is a length of any size: tokens=1xT:int64"

_MASK_HELP = "may be repeated; the input that is 1 or true where a length has data, one a length"
_ATTENTION_HELP = (
    "the attention type that its metrics bear; default: what is found in it. `other`: one that the list lacks. "
    "One of %(choices)s"
)
_BUCKETS_HELP = "may be repeated; sizes to group requests by, of the length that is named or the only one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to export, and where to; the lower half is for a module of one's own."""
    parser.add_argument("what", nargs="*", metavar="NAME | MODULE:FACTORY", help="recipes, or one factory of a module")
    parser.add_argument("--all", action="store_true", help="every recipe")
    where = f"[default: %(default)s; {variable('repository')}]"
    parser.add_argument("--repository", type=Path, default=setting("repository"), help=where)
    own = parser.add_argument_group("a module of your own")
    own.add_argument("--name", help="what the model is called when it is served")
    own.add_argument("--weights", type=Path, metavar="FILE", help="its state dict; without it, as the factory makes it")
    own.add_argument("--input", action="append", default=[], metavar="NAME=1x3x224x224[:DTYPE]", help=_INPUT_HELP)
    own.add_argument("--labels", type=Path, metavar="FILE", help="one label a line, for the first output's classes")
    own.add_argument("--preprocessing", metavar="RGB:MEAN:STD", help=_PREPROCESSING_HELP)
    own.add_argument("--steps", type=Path, metavar="FILE", help=_STEPS_HELP)
    own.add_argument("--mask", action="append", default=[], metavar="INPUT", help=_MASK_HELP)
    own.add_argument("--buckets", action="append", default=[], metavar="[T=]16,32,64", help=_BUCKETS_HELP)
    types = [str(one) for one in AttentionType if one is not AttentionType.UNKNOWN]
    own.add_argument("--attention", metavar="TYPE", choices=types, help=_ATTENTION_HELP)
    own.add_argument("--version", type=count, help="version number; default: the next free one")


def run(arguments: argparse.Namespace) -> int:
    """Export, print the folder of each new version, and tell (on standard error) what to do with it."""
    require("export", ("torch", "onnx", "onnxscript"), ("export",))
    folders = _export(arguments)
    for folder in folders:
        print(folder)
    print(next_steps(folders[-1]), file=sys.stderr)
    return 0


def next_steps(folder: Path) -> str:
    """How a version is served and asked, for whoever has just exported it."""
    repository, name = folder.parents[1], folder.parent.name
    card = ModelCard.read(folder / CARD_FILE)
    return (
        f"{_found(card)}serve it: fovea serve --repository {quote(str(repository))}   "
        "(one that runs with --control-mode poll, as `make serve` starts it, has it within seconds)\n"
        f"ask it:   {_question(name, card)}"
    )


def _question(name: str, card: ModelCard) -> str:
    """The command that asks it, where pictures or texts are all that it takes; else the one that tells its inputs."""
    kinds = {one: steps.kind for one, steps in card.steps_by_input.items()}
    if len(kinds) == 1:
        return f"fovea infer {name} {_ASKED[kinds.popitem()[1]]}"
    if kinds and set(kinds.values()) == {"text"}:
        return f"fovea infer {name} {' '.join(f'{one}=TEXT' for one in kinds)}"
    return f"curl http://127.0.0.1:{setting('http_port')}/v2/models/{name}   (tells its inputs)"


def _found(card: ModelCard) -> str:
    """A line on what rules recognised, where they did."""
    count = Counter(layer.operator for layer in card.layers if layer.found)
    operators = ", ".join(f"{number} x {name}" for name, number in count.items())
    return f"found:    {operators}, in operators that do not say so\n" if count else ""


def _export(arguments: argparse.Namespace) -> list[Path]:
    if any(":" in word for word in arguments.what):
        return [_export_module(arguments)]
    return _export_recipes(arguments)


def _export_recipes(arguments: argparse.Namespace) -> list[Path]:
    from fovea.export.recipes import export_recipes
    from fovea.recipes.catalogue import EVERY

    names = list(EVERY) if arguments.all else arguments.what
    if not names:
        raise InvalidRequest(f"name a recipe ({', '.join(EVERY)}), or --all, or MODULE:FACTORY")
    if unknown := sorted(set(names) - set(EVERY)):
        known = f"there are {', '.join(EVERY)}; a module of your own is MODULE:FACTORY"
        raise InvalidRequest(f"no recipe {', '.join(unknown)}; {known}")
    if given := [flag(name) for name in OWN if getattr(arguments, name)]:
        raise InvalidRequest(f"{', '.join(given)} is for MODULE:FACTORY; a recipe knows its own")
    return list(export_recipes(names, arguments.repository))


def _export_module(arguments: argparse.Namespace) -> Path:
    if arguments.all or len(arguments.what) != 1 or not arguments.name or not arguments.input:
        raise InvalidRequest("a module of your own needs one MODULE:FACTORY, --name NAME and --input NAME=SHAPE")
    from fovea.export.own_module import OwnModule, export_module

    own = OwnModule(
        target=arguments.what[0],
        name=arguments.name,
        inputs=arguments.input,
        weights=arguments.weights,
        labels=arguments.labels,
        preprocessing=arguments.preprocessing,
        steps=arguments.steps,
        masks=arguments.mask,
        buckets=arguments.buckets,
        attention=AttentionType(arguments.attention) if arguments.attention else None,
    )
    return export_module(own, arguments.repository, arguments.version)
