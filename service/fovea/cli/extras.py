"""Optional packages: what a command needs, and what to install where it is missing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from fovea.contract.errors import Misconfigured


def require(command: str, packages: Sequence[str], extras: Sequence[str]) -> None:
    """Misconfigured, with the line to type, where one of the packages is not installed."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        install = " or ".join(f"{sys.executable} -m pip install -e '.[{extra}]'" for extra in extras)
        raise Misconfigured(f"{command} needs {', '.join(missing)}; in Fovea's own folder: {install}")
