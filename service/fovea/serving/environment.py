"""The environment's variables: how settings are read from theirs, and what else bears the settings' prefix."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "FOVEA_"
_OTHERS = ("FOVEA_KERNELS_ISA", "FOVEA_ONNXRUNTIME_HEADERS")
"""Read by the kernels and by their build."""
_LINK = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)
_OF_A_SERVICE = re.compile(
    r"FOVEA(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)"
)


class FromVariables(BaseSettings):
    """Settings that are read from FOVEA_<NAME>, without blanks at the ends, as a line break from a file is one.

    An empty variable is none, and so is a port that links to a Kubernetes service.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in the call goes before variables."""
        return init_settings, _Variables(settings_cls)


class _Variables(EnvSettingsSource):
    def __call__(self) -> dict[str, Any]:
        values = {name: value.strip() for name, value in super().__call__().items()}
        return {name: value for name, value in values.items() if value and not _is_link_to_a_port(name, value)}


def _is_link_to_a_port(name: str, value: str) -> bool:
    return name.lower().endswith("_port") and _LINK.match(value) is not None


def of_kubernetes(environment: Mapping[str, str]) -> list[str]:
    """Variables that Kubernetes made in a pod for a service whose name begins with "fovea"."""
    ours = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    return sorted(
        name for name, value in ours.items() if _OF_A_SERVICE.fullmatch(name) or _is_link_to_a_port(name, value)
    )


def unknown(environment: Mapping[str, str], settings: Collection[str]) -> list[str]:
    """Those that have the settings' prefix and are neither a setting nor anybody else's."""
    known = {*settings, *_OTHERS, *of_kubernetes(environment)}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def remarks(environment: Mapping[str, str], settings: Collection[str]) -> Iterator[str]:
    """What people should hear of variables that change nothing; `settings` are those that do."""
    if links := of_kubernetes(environment):
        yield (
            f"passed over, since Kubernetes made them for a service: {', '.join(links)}; "
            "enableServiceLinks: false in the pod's specification keeps them out"
        )
    for name in unknown(environment, settings):
        near = get_close_matches(name.removeprefix(PREFIX), [other.removeprefix(PREFIX) for other in settings], 1)
        yield f"{name} is no setting" + (f": did you mean {PREFIX}{near[0]}?" if near else "")
