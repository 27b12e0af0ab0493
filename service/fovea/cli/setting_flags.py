"""The server's settings as people write them: the flag and the variable of each, and one or all of them read."""

from __future__ import annotations

import argparse
from typing import Any

from pydantic import ValidationError, create_model
from pydantic.fields import FieldInfo

from fovea.contract.errors import Misconfigured
from fovea.contract.validation import first_problem
from fovea.serving.environment import PREFIX, FromVariables
from fovea.serving.settings import Settings


def flag(name: str) -> str:
    """Field name -> flag: `grpc_port` is `--grpc-port`."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """Field name -> environment variable: `grpc_port` is `FOVEA_GRPC_PORT`."""
    return f"{PREFIX}{name}".upper()


def shown_default(field: FieldInfo) -> str:
    """A field's default as people write it."""
    default = field.get_default(call_default_factory=True)
    if default in (None, frozenset(), ()):
        return "none"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default).lower() if isinstance(default, bool) else str(default)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """A flag for every field. What is not given stays out of the namespace."""
    for name, field in Settings.model_fields.items():
        words = f"{field.description} [default: {shown_default(field)}; {variable(name)}]"
        parser.add_argument(flag(name), dest=name, help=words.replace("%", "%%"), **_how(name, field))


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings: flags win over variables, variables over defaults. Misconfigured tells the first that is wrong."""
    given = {name: getattr(arguments, name) for name in Settings.model_fields if hasattr(arguments, name)}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise _misconfigured(error) from error


def setting(name: str) -> Any:
    """One setting as its variable or its default has it, whatever the others are; Misconfigured where it is wrong.

    For commands that are no server, and share a few of the server's variables.
    """
    field: Any = (Settings.model_fields[name].annotation, Settings.model_fields[name])
    try:
        return getattr(create_model("OneSetting", __base__=FromVariables, **{name: field})(), name)
    except ValidationError as error:
        raise _misconfigured(error) from error


def variables() -> list[str]:
    """The environment variable of every setting."""
    return [variable(name) for name in Settings.model_fields]


def _misconfigured(error: ValidationError) -> Misconfigured:
    problem = first_problem(error)
    name = problem.field or "settings"
    return Misconfigured(f"{flag(name)} ({variable(name)}): {problem.what}, got {problem.received!r}")


def _how(name: str, field: FieldInfo) -> dict[str, Any]:
    if field.annotation is bool:
        return {"action": argparse.BooleanOptionalAction, "default": argparse.SUPPRESS}
    return {"metavar": name.rsplit("_", 1)[-1].upper(), "default": argparse.SUPPRESS}
