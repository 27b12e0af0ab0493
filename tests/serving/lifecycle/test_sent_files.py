"""Files that come with a load request."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from fovea.contract.errors import InvalidRequest
from fovea.serving.lifecycle.load_request import LoadRequest
from fovea.serving.lifecycle.sent_files import SentFiles


def test_files_that_cannot_be_kept_are_told_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files = SentFiles()
    with pytest.raises(InvalidRequest, match="files of model 'm' cannot be kept"):
        files.write(LoadRequest("m", files={"1/model.onnx": b"first", "1/model.onnx/more": b"beneath a file"}))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    files.close()
    assert list(tmp_path.iterdir()) == []
