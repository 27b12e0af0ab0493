"""Every route but …/infer: its path, the RPC that answers it, and how its body and its answer look in JSON."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.control.control_requests import REQUESTS
from fovea.serving.fronts.rest.json_text import parse_files, parse_object, take, word
from fovea.serving.fronts.rest.limits import Bound, RestLimits
from fovea.serving.fronts.rest.parameters import checked, require_few

Names = Mapping[str, str]
"""What a path names: `name`, `version`."""
Ask = Callable[[Names, dict[str, Any]], dict[str, Any]]
"""From the names in the path and the JSON of the body to the fields of a request."""
Tell = Callable[[dict[str, Any], Names], Any]
"""From an answer's fields to what JSON has of them."""

_INT64, _UINT64, _UINT32 = range(-(2**63), 2**63), range(2**64), range(2**32)
_LISTS = ("trace_level",)
"""Trace settings that are lists, also where they have one value."""


def _by_name(names: Names, _: dict[str, Any]) -> dict[str, Any]:
    for field, name in names.items():
        if not name:  # which would mean every one there is
            raise InvalidRequest(f"expected a {field}, received none")
    return dict(names)


def _index(_: Names, facts: dict[str, Any]) -> dict[str, Any]:
    return {"ready": take(facts, "ready", bool)}


def _change(names: Names, facts: dict[str, Any]) -> dict[str, Any]:
    """A model to load or unload; files come in Base64, as Triton's clients send them."""
    parameters = {
        name: _file(name, value) if name.startswith("file:") else checked(name, value, _INT64)
        for name, value in take(facts, "parameters", dict).items()
    }
    return {"model_name": names["name"], "parameters": parameters}


def _file(name: str, value: Any) -> bytes:
    try:
        return b64decode(value, validate=True)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"parameter '{name}' must be a text in Base64") from error


def _region(names: Names, facts: dict[str, Any]) -> dict[str, Any]:
    places = {field: take(facts, field, int) for field in ("offset", "byte_size")}
    for field, place in places.items():
        if place not in _UINT64:
            raise InvalidRequest(f"'{field}' must be at least 0 and of 64 bits, received {place}")
    return {"name": names["name"], "key": take(facts, "key", str), **places}


def _trace(names: Names, facts: dict[str, Any]) -> dict[str, Any]:
    require_few(facts)
    return {
        "model_name": names.get("name", ""),
        "settings": {name: _trace_values(name, value) for name, value in facts.items()},
    }


def _trace_values(name: str, value: Any) -> list[str]:
    """A setting that is null goes back to what it was."""
    values = [] if value is None else value if type(value) is list else [value]
    others = set(map(type, values)) - {str}
    if others:
        raise InvalidRequest(f"setting '{name}' must be a text or a list of texts, received {word(others.pop())}")
    return values


def _log(_: Names, facts: dict[str, Any]) -> dict[str, Any]:
    require_few(facts)
    return {"settings": {name: checked(name, value, _UINT32) for name, value in facts.items()}}


def _whole(answer: dict[str, Any], _: Names) -> Any:
    return answer


def _nothing(_answer: dict[str, Any], _: Names) -> Any:
    return {}


def _named(answer: dict[str, Any], names: Names) -> Any:
    return {"name": names["name"], **answer}


def _config(answer: dict[str, Any], _: Names) -> Any:
    return answer["config"]


def _models(answer: dict[str, Any], _: Names) -> Any:
    return answer["models"]


def _regions(answer: dict[str, Any], _: Names) -> Any:
    return [region for _, region in sorted(answer["regions"].items())]


def _trace_settings(answer: dict[str, Any], _: Names) -> Any:
    return {name: [value] if name in _LISTS else value for name, value in answer["settings"].items()}


def _log_settings(answer: dict[str, Any], _: Names) -> Any:
    return answer["settings"]


@dataclass(frozen=True)
class ControlRoute:
    """One route; a GET has no body."""

    method: str
    path: str
    rpc: str
    ask: Ask = _by_name
    tell: Tell = _whole
    of_files: bool = False
    """Files may come in its JSON, as long texts."""

    def bound(self, limits: RestLimits) -> Bound:
        """How large a body may be on this route."""
        return limits.body if self.of_files else limits.json

    def request(self, names: Names, body: bytes) -> Any:
        """What its RPC is asked; InvalidRequest where the body does not fit."""
        facts = parse_files(body) if self.of_files else parse_object(body)
        return REQUESTS[self.rpc](**self.ask(names, facts))

    def answer(self, answer: dict[str, Any], names: Names) -> Any:
        """What is said in JSON of an answer."""
        return self.tell(answer, names)


MODEL_PATHS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
_CHANGE_PATH = "/v2/repository/models/{name}"
_TRACE_PATHS = ("/v2/trace/setting", "/v2/models/{name}/trace/setting")


def _of_a_model(path: str) -> tuple[ControlRoute, ...]:
    return (
        ControlRoute("GET", path, "ModelMetadata"),
        ControlRoute("GET", path + "/ready", "ModelReady", tell=_named),
        ControlRoute("GET", path + "/config", "ModelConfig", tell=_config),
        ControlRoute("GET", path + "/stats", "ModelStatistics"),
    )


def _of_memory(kind: str, ask: Ask) -> tuple[ControlRoute, ...]:
    """Of shared memory, `kind` being system or cuda; `ask` makes the request to register a region."""
    path, rpc = f"/v2/{kind}sharedmemory", f"{kind.title()}SharedMemory"
    region = path + "/region/{name:path}"  # regions are often called as their object is: /name
    return (
        ControlRoute("GET", path + "/status", rpc + "Status", tell=_regions),
        ControlRoute("GET", region + "/status", rpc + "Status", tell=_regions),
        ControlRoute("POST", region + "/register", rpc + "Register", ask, _nothing),
        ControlRoute("POST", region + "/unregister", rpc + "Unregister", tell=_nothing),
        ControlRoute("POST", path + "/unregister", rpc + "Unregister", tell=_nothing),
    )


CONTROL_ROUTES: tuple[ControlRoute, ...] = (
    ControlRoute("GET", "/v2", "ServerMetadata"),
    ControlRoute("GET", "/v2/health/live", "ServerLive"),
    ControlRoute("GET", "/v2/health/ready", "ServerReady"),
    ControlRoute("GET", "/v2/models/stats", "ModelStatistics"),
    *(route for path in MODEL_PATHS for route in _of_a_model(path)),
    ControlRoute("POST", "/v2/repository/index", "RepositoryIndex", _index, _models),
    ControlRoute("POST", _CHANGE_PATH + "/load", "RepositoryModelLoad", _change, _nothing, of_files=True),
    ControlRoute("POST", _CHANGE_PATH + "/unload", "RepositoryModelUnload", _change, _nothing),
    *_of_memory("system", _region),
    *_of_memory("cuda", _by_name),
    *(
        ControlRoute(method, path, "TraceSetting", _trace, _trace_settings)
        for method in ("GET", "POST")
        for path in _TRACE_PATHS
    ),
    *(ControlRoute(method, "/v2/logging", "LogSettings", _log, _log_settings) for method in ("GET", "POST")),
)
"""What the servicer does not have is answered with 501."""
