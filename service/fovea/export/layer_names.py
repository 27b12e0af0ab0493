"""What the layers of a traced graph are called: by the modules that torch's exporter says its nodes come from."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import takewhile

SCOPES = "pkg.torch.onnx.name_scopes"
"""In a node's metadata: the paths of the modules around it, from the outermost, and last its call."""


def module_path(nodes: Iterable[Mapping[str, str]]) -> str:
    """The path of the innermost module around all of these nodes, whose metadata are given; "" where there is none."""
    paths = [ast.literal_eval(metadata.get(SCOPES, "['']"))[:-1] for metadata in nodes]
    shared = [level[0] for level in takewhile(lambda level: len(set(level)) == 1, zip(*paths, strict=False))]
    return str(shared[-1]) if shared else ""


def unique_names(names: Iterable[str]) -> list[str]:
    """Each name once: one that comes again gets `#2`, `#3`."""
    seen = Counter[str]()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result
