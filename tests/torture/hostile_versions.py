"""Versions that are broken or mean harm, by the name of the model that each becomes.

Each is a function that writes one into a folder, which is not there yet; `outside` is a folder outside the repository.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
from tests.torture.hostile_graphs import GRAPHS, MODEL, Write
from tests.torture.models import EXPORTED

WHOLE = EXPORTED / "fashion-simam" / "1"
OTHER = EXPORTED / "fashion-cbam" / "1"


def _copied(folder: Path) -> Path:
    """A whole exported version, to be spoilt."""
    shutil.copytree(WHOLE, folder)
    return folder / MODEL


def _junk(folder: Path, _outside: Path) -> None:
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(np.random.default_rng(0).bytes(100_000))


def _empty(folder: Path, _outside: Path) -> None:
    folder.mkdir(parents=True)
    (folder / MODEL).touch()


def _damaged(folder: Path, _outside: Path) -> None:
    model = _copied(folder)
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 0xFF
    model.write_bytes(data)


def _truncated(folder: Path, _outside: Path) -> None:
    model = _copied(folder)
    model.write_bytes(model.read_bytes()[:-1000])


def _truncated_without_card(folder: Path, outside: Path) -> None:
    _truncated(folder, outside)
    for path in folder.iterdir():
        if path.name != MODEL:
            path.unlink()


def _swapped(folder: Path, _outside: Path) -> None:
    shutil.copy(OTHER / MODEL, _copied(folder))


def _swapped_with_its_hash(folder: Path, outside: Path) -> None:
    _swapped(folder, outside)
    _rehash(folder, MODEL)


def _rehash(folder: Path, name: str) -> None:
    """Whoever spoils a file can write its hash into the card."""
    card = json.loads((folder / "card.json").read_text())
    card["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))


def _swapped_golden(folder: Path, _outside: Path) -> None:
    _copied(folder)
    shutil.copy(OTHER / "golden.npz", folder / "golden.npz")


def _link_outside(folder: Path, outside: Path) -> None:
    folder.mkdir(parents=True)
    (folder / MODEL).symlink_to(outside / MODEL)


def _card_outside(folder: Path, outside: Path) -> None:
    _copied(folder)
    (folder / "card.json").unlink()
    (folder / "card.json").symlink_to(outside / "card.json")


def _golden_outside(folder: Path, outside: Path) -> None:
    _copied(folder)
    (folder / "golden.npz").unlink()
    (folder / "golden.npz").symlink_to(outside / "golden.npz")


def _link_to_itself(folder: Path, _outside: Path) -> None:
    folder.mkdir(parents=True)
    (folder / MODEL).symlink_to(MODEL)


def _folder_for_a_file(folder: Path, _outside: Path) -> None:
    (folder / MODEL).mkdir(parents=True)


def _pipe(folder: Path, _outside: Path) -> None:
    folder.mkdir(parents=True)
    os.mkfifo(folder / MODEL)


def _card_that_is_a_pipe(folder: Path, _outside: Path) -> None:
    _copied(folder)
    (folder / "card.json").unlink()
    os.mkfifo(folder / "card.json")


def _golden_bomb(folder: Path, _outside: Path) -> None:
    """A golden batch of a few kilobytes that unpacks to 4 GB."""
    _copied(folder)
    with (
        zipfile.ZipFile(folder / "golden.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("inputs/input.npy", "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (1 << 30,)})
        for _ in range(64):
            file.write(bytes(1 << 26))
    _rehash(folder, "golden.npz")


def _nested_card(folder: Path, _outside: Path) -> None:
    _copied(folder)
    (folder / "card.json").write_text("[" * 500_000)


FILES: tuple[Write, ...] = (
    _junk,
    _empty,
    _damaged,
    _truncated,
    _truncated_without_card,
    _swapped,
    _swapped_with_its_hash,
    _swapped_golden,
    _link_outside,
    _card_outside,
    _golden_outside,
    _link_to_itself,
    _folder_for_a_file,
    _pipe,
    _card_that_is_a_pipe,
    _golden_bomb,
    _nested_card,
)
HOSTILE: dict[str, Write] = {write.__name__.strip("_").replace("_", "-"): write for write in FILES + GRAPHS}


def outside_folder(folder: Path) -> list[Path]:
    """A whole version and a secret, outside of every repository: its files."""
    shutil.copytree(WHOLE, folder)
    (folder / "secret.bin").write_bytes(np.ones(4, np.float32).tobytes())
    return sorted(folder.iterdir())
