"""A version appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from fovea.contract.attention import AttentionType
from fovea.contract.errors import ExportFailed
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.export.publish import publish
from fovea.runtime.files import file_sha256

SPEC = TensorSpec(name="x", datatype="FP32", shape=(-1, 2))
CARD = ModelCard(
    name="m", attention=AttentionType.NONE, inputs=(SPEC,), outputs=(SPEC,), batched=True, parameters=0, opset=23
)


def write(folder: Path) -> ModelCard:
    (folder / "model.onnx").write_bytes(b"weights")
    return CARD


def visible(repository: Path) -> list[str]:
    return sorted(str(path.relative_to(repository)) for path in repository.rglob("*"))


def test_first_version_is_1_and_the_next_follows_the_largest(tmp_path: Path) -> None:
    assert publish(tmp_path, "m", None, write) == tmp_path / "m" / "1"
    assert publish(tmp_path, "m", 7, write) == tmp_path / "m" / "7"
    assert publish(tmp_path, "m", None, write) == tmp_path / "m" / "8"


def test_card_names_the_hash_of_every_other_file(tmp_path: Path) -> None:
    folder = publish(tmp_path, "m", None, write)
    card = ModelCard.read(folder / "card.json")
    assert card.sha256 == {"model.onnx": file_sha256(folder / "model.onnx")}


def test_existing_version_is_never_overwritten(tmp_path: Path) -> None:
    folder = publish(tmp_path, "m", 3, write)
    before = (folder / "card.json").stat()
    with pytest.raises(ExportFailed, match="m version 3 exists already"):
        publish(tmp_path, "m", 3, write)
    assert (folder / "card.json").stat() == before


@pytest.mark.parametrize("version", [0, -2, 10**18])
def test_version_where_no_server_looks_is_refused(tmp_path: Path, version: int) -> None:
    with pytest.raises(ExportFailed, match=f"a version is a whole number from 1 .*, not {version}"):
        publish(tmp_path, "m", version, write)
    assert visible(tmp_path) == []


def test_repository_that_is_a_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "models").touch()
    with pytest.raises(ExportFailed, match=r"m cannot be written to the repository .*models: Not a directory"):
        publish(tmp_path / "models", "m", None, write)


def test_interrupted_publish_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> ModelCard:
        write(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path, "m", None, interrupted)
    assert visible(tmp_path) == []


def test_neither_version_nor_model_is_visible_while_it_is_written(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def looking(folder: Path) -> ModelCard:
        card = write(folder)
        seen.append([name for name in visible(tmp_path) if not any(part.startswith(".") for part in Path(name).parts)])
        return card

    publish(tmp_path, "m", None, looking)
    publish(tmp_path, "m", None, looking)
    first = ["m", "m/1", "m/1/card.json", "m/1/model.onnx"]
    assert seen == [[], first]
    assert visible(tmp_path) == [*first, "m/2", "m/2/card.json", "m/2/model.onnx"]


def test_faster_exporter_keeps_its_number(tmp_path: Path) -> None:
    def overtaken(folder: Path) -> ModelCard:
        publish(tmp_path, "m", None, write)
        return write(folder)

    assert publish(tmp_path, "m", None, overtaken) == tmp_path / "m" / "2"


def test_faster_exporter_of_the_same_number_is_not_overwritten(tmp_path: Path) -> None:
    def overtaken(folder: Path) -> ModelCard:
        publish(tmp_path, "m", 1, write)
        return write(folder)

    with pytest.raises(ExportFailed, match="cannot be made"):
        publish(tmp_path, "m", 1, overtaken)
    assert visible(tmp_path) == ["m", "m/1", "m/1/card.json", "m/1/model.onnx"]


def test_published_version_can_be_read_by_another_user(tmp_path: Path) -> None:
    assert publish(tmp_path, "m", None, write).stat().st_mode & 0o055 == 0o055
