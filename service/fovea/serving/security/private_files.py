"""Files that only the server's own user should read: a key, tokens."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from stat import S_IROTH, S_IWOTH

log = logging.getLogger(__name__)


def warn_if_open(name: str, path: Path) -> None:
    """A log line where every user of this machine may read or change the file; `name` is the setting that names it."""
    with suppress(OSError):  # whoever reads it tells
        mode = path.stat().st_mode
        if mode & (S_IROTH | S_IWOTH):
            log.warning(
                "%s %s is open to every user of this machine (mode %04o): chmod o-rwx %s",
                name,
                path,
                mode & 0o7777,
                path,
            )
