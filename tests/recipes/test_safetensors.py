"""A file of the safetensors format gives its tensors, and a damaged one its name and a remedy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fovea.contract.errors import Misconfigured
from fovea.recipes.safetensors import read_weights

WEIGHTS = {"table": np.arange(6, dtype=np.float32).reshape(2, 3), "half": np.array([0.5, -2.0], np.float16)}


def content(arrays: dict[str, np.ndarray]) -> bytes:
    """As the format's own text describes it."""
    facts, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        end = len(data) + array.nbytes
        dtype = f"F{8 * array.itemsize}"
        facts[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), end]}  # type: ignore[dict-item]
        data += array.tobytes()
    header = json.dumps(facts).encode()
    return len(header).to_bytes(8, "little") + header + data


def test_every_tensor_comes_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content(WEIGHTS))
    read = read_weights(tmp_path / "model.safetensors")
    assert list(read) == list(WEIGHTS)
    for name, array in WEIGHTS.items():
        np.testing.assert_array_equal(read[name].numpy(), array)
        assert read[name].numpy().dtype == array.dtype


@pytest.mark.parametrize("kept", [0, 5, 40, -3])
def test_a_damaged_file_is_named_with_a_remedy(tmp_path: Path, kept: int) -> None:
    (tmp_path / "model.safetensors").write_bytes(content(WEIGHTS)[:kept])
    with pytest.raises(Misconfigured, match=r"model\.safetensors cannot be read .* delete its folder"):
        read_weights(tmp_path / "model.safetensors")
