"""Triton's ModelConfig from text, as a protobuf message: besides the gRPC front, only this file makes any."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf import json_format, text_format

from fovea.wire import enum_name, message


def from_pbtxt(text: str) -> Any:
    """A ModelConfig from what config.pbtxt says; ValueError tells line and field where it is none."""
    try:
        return text_format.Parse(text, message("ModelConfig")())
    except (text_format.ParseError, RecursionError) as error:
        raise ValueError(str(error)) from error


def from_json(text: str) -> Any:
    """A ModelConfig from JSON; ValueError tells why it is none."""
    try:
        facts = json.loads(text)
        if not isinstance(facts, dict):
            raise ValueError("received no object")
        return json_format.ParseDict(facts, message("ModelConfig")())
    except (json_format.ParseError, RecursionError, TypeError) as error:
        raise ValueError(str(error)) from error


def format_of(tensor: Any) -> str:
    """The name of a ModelInput's format, e.g. FORMAT_NCHW; its number where it has no name."""
    return _name_or_number("ModelInput.Format", tensor.format)


def data_type_of(tensor: Any) -> str:
    """The name of a ModelInput's or ModelOutput's type, e.g. TYPE_FP32; its number where it has no name."""
    return _name_or_number("DataType", tensor.data_type)


def _name_or_number(enum: str, value: int) -> str:
    try:
        return enum_name(enum, value)
    except KeyError:
        return str(value)
