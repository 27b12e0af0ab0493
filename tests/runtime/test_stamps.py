"""What changes in a model's folder is seen; what lies beside it costs little."""

from __future__ import annotations

from pathlib import Path

import pytest

from fovea.runtime.stamps import model_stamp, stamp_of


@pytest.mark.parametrize("where", ["model.toml", "2/model.onnx", "2/weights/part"])
def test_a_change_of_any_file_of_a_model_is_seen(tmp_path: Path, where: str) -> None:
    file = tmp_path / where
    file.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "1").mkdir()
    file.write_text("before")
    before = model_stamp(tmp_path)
    file.write_text("afterwards")
    assert model_stamp(tmp_path) != before


def test_a_data_set_inside_a_model_does_not_hold_up_the_looks_at_others(tmp_path: Path) -> None:
    for number in range(10_500):
        (tmp_path / f"{number}.jpg").touch()
    assert len(stamp_of(tmp_path)) == 10_000
