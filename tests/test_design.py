"""docs/DESIGN.md: its map of the sources has every folder that there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "DESIGN.md").read_text()
OF_CODE = {".py", ".cc", ".h"}


def mapped() -> list[str]:
    """The folders of the map, in its order."""
    tree = TEXT.partition("## The sources")[2]
    return re.findall(r"^([\w/]+)/ +\S", tree, re.MULTILINE)


def folders_of_code(top: str) -> set[str]:
    """Folders below `top` that hold sources, and those that only hold such folders."""
    files = (path for path in (ROOT / top).rglob("*") if path.suffix in OF_CODE and "build" not in path.parts)
    folders = {parent for path in files for parent in path.relative_to(ROOT).parents}
    return {folder.as_posix() for folder in folders if folder.as_posix().startswith(f"{top}/")} - {"service/fovea"}


def test_every_folder_of_the_map_exists_and_stands_there_once() -> None:
    assert mapped()
    assert not [folder for folder in mapped() if not (ROOT / folder).is_dir()]
    assert len(mapped()) == len(set(mapped()))


def test_every_folder_of_sources_is_on_the_map() -> None:
    kernels = {"service/kernels", *(f"service/kernels/{part}" for part in ("operators", "cpu", "gpu"))}
    assert folders_of_code("service") | kernels == {folder for folder in mapped() if folder.startswith("service/")}


def test_every_file_that_is_named_exists() -> None:
    parts = re.findall(r"`((?:contract|serving|cli|fronts|service|runtime|inputs)/[\w/]+\.\w+)`", TEXT)
    assert parts
    roots = (ROOT, ROOT / "service" / "fovea", ROOT / "service" / "fovea" / "serving")
    assert not [part for part in parts if not any((root / part).exists() for root in roots)]
