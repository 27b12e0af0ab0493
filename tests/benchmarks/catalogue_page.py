"""docs/CATALOGUE.md, from attention types, modules, the kernels' registry, the models and measured figures."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fovea.contract.attention import AttentionType
from fovea.contract.mechanisms import MECHANISMS, Mechanism
from fovea.contract.model_card import ModelCard
from fovea.contract.operators import OPERATORS
from fovea.recipes.catalogue import RECIPES
from fovea.runtime.kernel_library import find_kernel_library
from fovea.runtime.kernel_registry import kernels_in

ROOT = Path(__file__).parents[2]
PAGE, FIGURES = ROOT / "docs" / "CATALOGUE.md", ROOT / "docs" / "catalogue.json"

MODULES: dict[AttentionType, str] = {
    AttentionType.SQUEEZE_EXCITATION: "squeeze_excitation",
    AttentionType.SQUEEZE_ONLY: "squeeze_only",
    AttentionType.SPATIAL: "spatial",
    AttentionType.CBAM: "cbam",
    AttentionType.SIMAM: "simam",
    AttentionType.DISTANCE: "distance",
    AttentionType.ADDITIVE: "additive",
    AttentionType.DOT: "dot",
    AttentionType.SCALED_DOT: "dot",
    AttentionType.BILINEAR: "bilinear",
    AttentionType.HARD_ARGMAX: "hard",
    AttentionType.HARD_SAMPLE: "hard",
    AttentionType.KEY_VALUE: "dot",
    AttentionType.SELF: "multi_head",
    AttentionType.MULTI_HEAD: "multi_head",
    AttentionType.EXTERNAL: "external",
    AttentionType.GATED: "gated",
    AttentionType.MAX_POOL: "max_pool",
    AttentionType.ECA: "efficient_channel",
    AttentionType.COORDINATE: "coordinate",
}
"""Attention type -> the file of `fovea.attention` that begins with its formula."""

_INTRODUCTION = """# The catalogue

Every attention mechanism that Fovea has: what it computes, what it costs, and which of the models here uses it. This
page is made by `make catalogue`, which measures what stands in it; a test compares the rest with the code.

Metrics have three more types, which are no mechanisms: `none`, a model without attention; `unknown`, a model of others
that has what looks like attention and that nobody named; `other`, one that its owner named so, for want of a type here.

## What each one is

`weighs`: what gets a weight. `learned`: whether what decides the weights is. `smooth`: whether the weights change
smoothly with the input, so that a gradient trains what decides them.
"""
_COSTS = """## What each one costs

One node of float32 on one core, by Fovea's kernel and by its body in ONNX Runtime's own operators, beside a copy of
what it reads. Memory: what a run takes at its peak, its answer included, beside what that copy takes.
"""
_USED = """## Where each one runs

A kernel is an entry of the registry in `service/kernels/registry.cc`: device and number format. Without one the body
runs, anywhere. Models: those of `exported_models/` whose card has this type.
"""


def page(figures: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = [_INTRODUCTION, _table(_MEANING_HEAD, _meanings()), _COSTS, _table(_COST_HEAD, _costs(figures["costs"]))]
    words = f"{_reading(figures)}\n\nProcessor time, medians, all sides in turn in one run. {figures['machine']}.\n"
    return "\n".join([*parts, words, _USED, _table(_USE_HEAD, _uses(figures["costs"]))])


_MEANING_HEAD = ("type", "formula", "shapes", "weighs", "family", "learned", "smooth", "paper")
_COST_HEAD = (
    *("type", "what it reads", "copy, µs", "kernel, µs", "in copies", "body, µs", "in copies"),
    *("kernel's memory, in copies", "body's memory, in copies"),
)
_USE_HEAD = ("type", "operators", "kernels", "models")


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _meanings() -> Iterator[Sequence[str]]:
    for attention, module in MODULES.items():
        formula, shapes = formula_and_shapes(module)
        yield f"`{attention}`", formula, shapes, *_taxonomy(MECHANISMS[attention])


def formula_and_shapes(module: str) -> tuple[str, str]:
    """Of the file's docstring the sentence after its title: a formula, a semicolon, shapes."""
    text = (importlib.import_module(f"fovea.attention.{module}").__doc__ or "").split("\n\n")[1]
    first_sentence = re.split(r"\.(?: |$)(?=[A-Z]|$)", " ".join(text.split()))[0]
    formula, _, shapes = first_sentence.rpartition("; ")
    return formula, shapes


def _taxonomy(mechanism: Mechanism) -> tuple[str, ...]:
    learned, smooth = ("yes" if fact else "no" for fact in (mechanism.parametric, mechanism.differentiable))
    return mechanism.weighs, mechanism.family, learned, smooth, mechanism.paper


def _costs(costs: Mapping[str, Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for attention, cost in costs.items():
        by_kernel = cost["kernel_us"] is not None
        kernel = [f"{cost['kernel_us']:.0f}", _times(cost, "kernel", "us")] if by_kernel else ["", ""]
        body = [f"{cost['body_us']:.0f}", _times(cost, "body", "us")]
        memory = [_times(cost, "kernel", "mb") if by_kernel else "", _times(cost, "body", "mb")]
        yield f"`{attention}`", cost["inputs"], f"{cost['copy_us']:.0f}", *kernel, *body, *memory


def _reading(figures: Mapping[str, Any]) -> str:
    """Hard attention beside soft attention on the same scores."""
    hard, drawn = (figures["costs"][name]["kernel_us"] for name in ("hard_argmax", "hard_sample"))
    return (
        f"From the same scores, reading the most probable value takes {hard:.0f} µs and a drawn one {drawn:.0f} µs;"
        f" reading the weighted mean of all, by ONNX Runtime's Softmax and MatMul, {figures['soft_reading_us']:.0f} µs."
    )


def _times(cost: Mapping[str, Any], side: str, unit: str) -> str:
    return f"{cost[f'{side}_{unit}'] / cost[f'copy_{unit}']:.1f}"


def _uses(costs: Mapping[str, Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    kernels, models = _kernels(), _models()
    for attention in MODULES:
        own = [name for name, operator in OPERATORS.items() if operator.attention == attention]
        names = own or [costs[attention]["operator"]]
        formats = sorted({entry for name in names for entry in kernels.get(name, ())})
        uses = models.get(attention, ())
        yield f"`{attention}`", _code(names), ", ".join(formats), _code(uses)


def _kernels() -> Mapping[str, set[str]]:
    """Operator -> "cpu FP32"."""
    library = find_kernel_library()
    found: dict[str, set[str]] = {}
    for kernel in (library and kernels_in(library)) or ():
        found.setdefault(kernel.operator, set()).add(f"{kernel.device} {kernel.datatype}")
    return found


def _models() -> Mapping[AttentionType, list[str]]:
    """The models that come with Fovea, by each type that they have; a user's own may lie beside them."""
    found: dict[AttentionType, list[str]] = {}
    for path in sorted((ROOT / "exported_models").glob("*/1/card.json")):
        if path.parts[-3] not in RECIPES:
            continue
        card = ModelCard.read(path)
        for attention in {card.attention, *(layer.attention for layer in card.layers)}:
            found.setdefault(attention, []).append(card.name)
    return found


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(FIGURES.read_text())))
