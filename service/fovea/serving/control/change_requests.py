"""What a RepositoryModelLoad or RepositoryModelUnload asks for, in both forms that clients send.

Triton's and MLServer's field 2 is the model's name, and field 1 names a repository; KServe's Python server has the
model's name in field 1. So a name in field 1 alone is a model's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fovea.contract.errors import InvalidRequest, Unsupported
from fovea.contract.model_card import MOST_TEXT_BYTES
from fovea.runtime.names import NAME_RULE, is_model_name, shown_name
from fovea.serving.control.control_requests import ModelChange
from fovea.serving.lifecycle.load_request import LoadRequest
from fovea.serving.lifecycle.model_config_text import from_json

_FILE_PREFIX = "file:"
_PLAIN = "[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
_FILE_NAME = re.compile(rf"(?!model\.toml$)(?=[A-Za-z]){_PLAIN}|[1-9][0-9]{{0,17}}(?:/{_PLAIN}){{1,2}}", re.ASCII)
"""A file of the model, such as its labels, but no model.toml (`config` chooses); or of a version, where a model with
weights beside it may be a folder: 1/model.onnx/model.onnx."""
_FIELDS: dict[type, str] = {
    bool: "bool_param",
    int: "int64_param",
    str: "string_param",
    bytes: "bytes_param",
    type(None): "nothing",
}
"""A parameter's type -> the field of the protocol that has it."""


def requested_name(request: ModelChange) -> str:
    """The model's name in either form. InvalidRequest where it is no name, Unsupported where a repository is named."""
    name = request.model_name or request.repository_name
    if request.model_name and request.repository_name:
        raise Unsupported(f"there is one repository and it has no name, received '{request.repository_name}'")
    if not is_model_name(name):
        raise InvalidRequest(f"expected the name of a model ({NAME_RULE}), received '{shown_name(name)}'")
    return name


def load_requested(request: ModelChange) -> LoadRequest:
    """What a RepositoryModelLoad asks for; InvalidRequest tells which parameter is wrong."""
    name = requested_name(request)
    try:
        return _load_of(name, request.parameters)
    except InvalidRequest as error:
        raise InvalidRequest(f"failed to load '{name}': {error}") from error


def _load_of(name: str, parameters: Mapping[str, Any]) -> LoadRequest:
    config, files = None, {}
    for parameter, value in parameters.items():
        if parameter == "config":
            config = _config(_required(parameter, value, str))
        elif parameter.startswith(_FILE_PREFIX):
            files[_file_name(parameter)] = _required(parameter, value, bytes)
        else:
            raise InvalidRequest(f"parameter '{parameter}': expected 'config', or 'file:' with a file's path")
    return LoadRequest(name, config, files)


def name_to_unload(request: ModelChange) -> str:
    """The model that a RepositoryModelUnload names. Its parameter changes nothing: no model has dependents here."""
    for parameter, value in request.parameters.items():
        if parameter != "unload_dependents":
            raise InvalidRequest(f"parameter '{parameter}': expected 'unload_dependents'")
        _required(parameter, value, bool)
    return requested_name(request)


def _required(name: str, value: Any, expected: type) -> Any:
    if type(value) is not expected:
        raise InvalidRequest(f"parameter '{name}': expected {_FIELDS[expected]}, received {_FIELDS[type(value)]}")
    return value


def _file_name(parameter: str) -> str:
    name = parameter.removeprefix(_FILE_PREFIX)
    if not _FILE_NAME.fullmatch(name):
        raise InvalidRequest(
            f"Invalid file path '{shown_name(name)}': expected '<version>/<name>' or '<name>', plain names"
        )
    return name


def _config(text: str) -> Any:
    if len(text) > MOST_TEXT_BYTES:
        raise InvalidRequest(f"parameter 'config': expected at most {MOST_TEXT_BYTES} characters, received {len(text)}")
    try:
        return from_json(text)
    except ValueError as error:
        raise InvalidRequest(f"parameter 'config': expected the JSON of a ModelConfig: {error}") from error
