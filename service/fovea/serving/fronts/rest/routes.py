"""From a request's line to the route that answers it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.limits import Bound
from fovea.serving.fronts.rest.refusal import Refusal

Names = Mapping[str, str]
"""What a path names: `name`, `version`."""
_FOUND_KEPT = 256
_PARAMETER = re.compile(r"{(\w+)(:path)?}")


@dataclass(frozen=True)
class Route:
    """Who answers the requests of a path."""

    method: str
    path: str
    """With parameters: `{name}`, and `{name:path}` for one that may have slashes."""
    rpc: str
    """The RPC of the same meaning: it decides who may call."""
    answer: Callable[[Exchange], None]
    bound: Callable[[Mapping[str, str]], Bound | None]
    """From the headers, how large a body may be; None where there is none to read."""
    stray: Callable[[], None] | None = None
    """Told of requests that are refused before they reach a model."""

    @property
    def methods(self) -> tuple[str, ...]:
        """What it answers: who wants the head alone gets that."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)


class Routes:
    """Finds routes; the first that fits is it."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [(re.compile(_PARAMETER.sub(_pattern, route.path)), route) for route in routes]
        self.find = lru_cache(_FOUND_KEPT)(self._find)
        """The route of a method and a path as it came, and what the path names; Refusal where there is none."""

    def _find(self, method: str, escaped: str) -> tuple[Route, Names]:
        path = unquote(escaped)
        fitting = [(route, found.groupdict()) for pattern, route in self._routes if (found := pattern.fullmatch(path))]
        if not fitting:
            raise Refusal(404, f"no such path: {path}")
        for route, names in fitting:
            if method in route.methods:
                return route, names
        allowed = ", ".join(dict.fromkeys(method for route, _ in fitting for method in route.methods))
        raise Refusal(405, "Method Not Allowed", headers={"allow": allowed})


def _pattern(parameter: re.Match[str]) -> str:
    name, is_path = parameter.groups()
    return f"(?P<{name}>{'.*' if is_path else '[^/]+'})"
