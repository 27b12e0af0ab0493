"""RPCs that are closed until the setting `open_rpcs` names their group: one table, for gRPC and HTTP."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from fovea.contract.errors import Forbidden

Group = Literal["model_control", "shared_memory", "logging", "trace"]

GROUP_OF: Mapping[str, Group] = {
    "RepositoryModelLoad": "model_control",
    "RepositoryModelUnload": "model_control",
    "SystemSharedMemoryStatus": "shared_memory",
    "SystemSharedMemoryRegister": "shared_memory",
    "SystemSharedMemoryUnregister": "shared_memory",
    "LogSettings": "logging",
    "TraceSetting": "trace",
}
"""RPC -> its group. Whoever may call these changes what others get; every other RPC is open."""


def require_open(rpc: str, opened: Collection[str]) -> None:
    """Forbidden where an RPC belongs to a group that is not opened."""
    group = GROUP_OF.get(rpc)
    if group is not None:
        require_group(rpc, group, opened)


def require_group(what: str, group: Group, opened: Collection[str]) -> None:
    """Forbidden where a group is not opened."""
    if group not in opened:
        raise Forbidden(f"{what} is closed on this server; it opens with --open-rpcs={group}")
