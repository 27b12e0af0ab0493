"""Parameters and settings: maps from a name to a message of which one field is set, by the value's type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.json_text import word

_PARAMETER_FIELDS: Mapping[type, str] = {
    bool: "bool_param",
    int: "int64_param",
    float: "double_param",
    str: "string_param",
}
_MOST_PARAMETERS = 16 * 1024
"""More do not fit into what a request may have beside its data, and would hold everybody up on the way there."""
SETTING_FIELDS: Mapping[type, str] = {bool: "bool_param", int: "uint32_param", str: "string_param"}


def require_few(parameters: Mapping[str, Any], where: str = "") -> None:
    """InvalidRequest for more parameters than any request may have."""
    if len(parameters) > _MOST_PARAMETERS:
        raise InvalidRequest(f"{where}expected at most {_MOST_PARAMETERS} parameters, received {len(parameters)}")


def set_parameters(
    target: Any, parameters: dict[str, Any], where: str = "", fields: Mapping[type, str] = _PARAMETER_FIELDS
) -> None:
    """Put JSON values into a map of messages; InvalidRequest for one of another type, or out of range."""
    require_few(parameters, where)
    known = target.GetEntryClass().DESCRIPTOR.fields_by_name["value"].message_type.fields_by_name
    fitting = {kind: field for kind, field in fields.items() if field in known}
    for name, value in parameters.items():
        field = fitting.get(type(value))
        if field is None:
            expected = "; ".join(map(word, fitting))
            raise InvalidRequest(f"{where}parameter '{name}': expected {expected}, received {word(type(value))}")
        if field == "int64_param" and value >= 2**63 and "uint64_param" in known:
            field = "uint64_param"
        try:
            setattr(target[name], field, value)
        except ValueError as error:
            raise InvalidRequest(f"{where}parameter '{name}': {value} is out of range") from error
