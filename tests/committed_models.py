"""The exported models that come with Fovea. A user's own may lie beside them, and are none of the tests' business."""

from __future__ import annotations

from pathlib import Path

EXPORTED = Path(__file__).parents[1] / "exported_models"
COMMITTED = {card.parts[-3]: card.parent for card in sorted(EXPORTED.glob("fashion-*/1/card.json"))}
"""Model -> the folder of its version 1, of those that name what is on a picture of clothes."""
RECURRENT = "ram-mnist"
"""The one that draws where to look; it has a test file of its own."""
READER = "bert-gloss"
"""The one that reads definitions; it has a test file of its own too."""
EVERY_COMMITTED = COMMITTED | {name: EXPORTED / name / "1" for name in (RECURRENT, READER)}


def link_models(repository: Path, *names: str) -> Path:
    """A repository of these exported models, and of nothing else."""
    for name in names:
        (repository / name).symlink_to(EXPORTED / name)
    return repository


def link_committed_models(repository: Path) -> Path:
    """A repository of them, and of nothing else."""
    for name, version in COMMITTED.items():
        (repository / name).mkdir()
        (repository / name / version.name).symlink_to(version)
    return repository
