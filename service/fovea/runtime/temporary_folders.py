"""Temporary folders that do not outlive their process for long: what killed ones leave behind, the next ones remove.

Each is locked while its process lives, so that nobody has to ask whether it does, and in which container.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "fovea-tmp-"


class TemporaryFolder:
    """A new folder, of this user alone, below `parent` (None: where temporary files go)."""

    def __init__(self, parent: Path | None = None, prefix: str = PREFIX) -> None:
        self.path, self._descriptor = _locked_folder(parent, prefix)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Leave it to others: it is a temporary one no longer, or will be removed by the next that looks."""
        os.close(self._descriptor)


def remove_left_behind(parent: Path | None = None, prefix: str = PREFIX) -> int:
    """Remove this user's folders whose processes are gone; how many there were."""
    removed = 0
    for path in (parent or Path(tempfile.gettempdir())).glob(f"{prefix}*"):
        with suppress(OSError):  # another's, gone by now, or on a file system without locks
            removed += _removed(path)
    return removed


def _locked_folder(parent: Path | None, prefix: str) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        descriptor = _claimed(path)
        if descriptor is not None:
            return path, descriptor


def _claimed(path: Path) -> int | None:
    """A new folder, locked; None where somebody took it for one that was left behind before it was."""
    try:
        descriptor = _opened(path)
    except FileNotFoundError:
        return None
    try:
        if _locks(descriptor) and path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except FileNotFoundError:
        pass
    except OSError:  # no locks here: then nobody else gets one either, and the folder stays
        return descriptor
    os.close(descriptor)
    return None


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _removed(path: Path) -> bool:
    """What is removed is found through the folder itself: no link that takes its place leads elsewhere."""
    descriptor = _opened(path)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid() or not _locks(descriptor):
            return False
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.name, dir_fd=descriptor)
                else:
                    os.unlink(entry.name, dir_fd=descriptor)
        path.rmdir()
        return True
    finally:
        os.close(descriptor)
