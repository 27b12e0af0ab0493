"""Every route but …/infer: its path, the RPC that answers it, and how its body and its answer look in JSON."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.control_json import plain, plain_map
from fovea.serving.fronts.rest.json_text import parse_files, parse_object, take, word
from fovea.serving.fronts.rest.limits import Bound, RestLimits
from fovea.serving.fronts.rest.parameters import SETTING_FIELDS, require_few, set_parameters
from fovea.wire import message

Names = Mapping[str, str]
"""What a path names: `name`, `version`."""
Ask = Callable[[Any, Names, dict[str, Any]], None]
"""Fills a request's message from the names in the path and the JSON of the body."""
Tell = Callable[[Any, Names], Any]
"""From an answer's message to JSON."""

_LISTS = ("trace_level",)
"""Trace settings that are lists, also where they have one value."""


def _by_name(request: Any, names: Names, _: dict[str, Any]) -> None:
    for field, name in names.items():
        if not name:  # which would mean every one there is
            raise InvalidRequest(f"expected a {field}, received none")
        setattr(request, field, name)


def _index(request: Any, _: Names, facts: dict[str, Any]) -> None:
    request.ready = take(facts, "ready", bool)


def _change(request: Any, names: Names, facts: dict[str, Any]) -> None:
    """Fill in a request to load or unload a model; files come in Base64, as Triton's clients send them."""
    request.model_name = names["name"]
    for name, value in take(facts, "parameters", dict).items():
        if name.startswith("file:"):
            request.parameters[name].bytes_param = _file(name, value)
        else:
            set_parameters(request.parameters, {name: value})


def _file(name: str, value: Any) -> bytes:
    try:
        return b64decode(value, validate=True)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"parameter '{name}' must be a text in Base64") from error


def _region(request: Any, names: Names, facts: dict[str, Any]) -> None:
    request.name, request.key = names["name"], take(facts, "key", str)
    for field in ("offset", "byte_size"):
        try:
            setattr(request, field, take(facts, field, int))
        except ValueError as error:
            raise InvalidRequest(f"'{field}' must be at least 0 and of 64 bits, received {facts[field]}") from error


def _trace(request: Any, names: Names, facts: dict[str, Any]) -> None:
    """A setting that is null goes back to what it was."""
    request.model_name = names.get("name", "")
    require_few(facts)
    for name, value in facts.items():
        values = [] if value is None else value if type(value) is list else [value]
        others = set(map(type, values)) - {str}
        if others:
            raise InvalidRequest(f"setting '{name}' must be a text or a list of texts, received {word(others.pop())}")
        request.settings[name].value.extend(values)


def _log(request: Any, _: Names, facts: dict[str, Any]) -> None:
    set_parameters(request.settings, facts, fields=SETTING_FIELDS)


def _whole(answer: Any, _: Names) -> Any:
    return plain(answer)


def _nothing(_answer: Any, _: Names) -> Any:
    return {}


def _named(answer: Any, names: Names) -> Any:
    return {"name": names["name"], **plain(answer)}


def _config(answer: Any, _: Names) -> Any:
    return plain(answer.config)


def _models(answer: Any, _: Names) -> Any:
    return [plain(model) for model in answer.models]


def _regions(answer: Any, _: Names) -> Any:
    return [plain(answer.regions[name]) for name in sorted(answer.regions)]


def _trace_settings(answer: Any, _: Names) -> Any:
    lists = {name: list(setting.value) for name, setting in answer.settings.items()}
    return {name: values if name in _LISTS else "".join(values) for name, values in lists.items()}


def _log_settings(answer: Any, _: Names) -> Any:
    return plain_map(answer.settings)


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
        """The request's message; InvalidRequest where the body does not fit."""
        request = message(f"{self.rpc}Request")()
        self.ask(request, names, parse_files(body) if self.of_files else parse_object(body))
        return request

    def answer(self, answer: Any, names: Names) -> Any:
        """What is said in JSON of the answer's message."""
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
