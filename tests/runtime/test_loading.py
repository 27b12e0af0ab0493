"""A version is served when it is whole and right; otherwise there is a reason, and nothing else happens."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from fovea.contract.errors import ModelBroken, NotFound
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.golden import write_golden
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.loading import load_version
from fovea.runtime.model_toml import ServingChoices
from fovea.runtime.repository import Configured

IMAGE = np.random.default_rng(3).standard_normal((3, 4, 8, 8)).astype(np.float32)


def load(folder: Path, settings: LoadSettings | None = None, **choices: object) -> LoadedVersion:
    said = Configured(ServingChoices.model_validate(choices))
    return load_version(folder, "simam", 1, settings or LoadSettings(), said)


def test_whole_version_is_loaded_with_its_facts(version_folder):
    version = load(version_folder)
    assert (version.name, version.version, version.path) == ("simam", 1, version_folder)
    assert (version.kernels, version.kernels_reason) == ("body", "no kernel library was found")
    assert version.provider == "CPUExecutionProvider"
    assert version.sha256 == version.card.sha256["model.onnx"]
    assert list(version.cost.curves[()]) == [1, 2, 4, 8]
    assert version.cost.worthwhile_rows(()) in version.cost.curves[()]


@pytest.mark.parametrize(("from_toml", "expected"), [(None, 8), (3, 3)])
def test_rows_of_a_batch_are_those_of_the_card_unless_the_model_is_configured(version_folder, from_toml, expected):
    assert load(version_folder, max_batch_rows=from_toml).session.max_batch_rows == expected


def test_maps_are_those_of_the_version_that_serves_or_none(version_folder):
    version = load(version_folder)
    maps = version_folder / "maps.onnx"
    maps.write_bytes(maps.read_bytes() + b"\0")
    with pytest.raises(ModelBroken, match=r"maps\.onnx differs from the hash"):
        version.open_maps()


def test_two_instances_answer_alike_and_apart(version_folder):
    version = load(version_folder)
    second = version.open_instance()
    first = version.session.infer({"image": IMAGE})["features"]
    again = second.infer({"image": -IMAGE})["features"]
    assert np.allclose(first, -again, atol=1e-6)
    version.close()
    version.close()
    assert np.array_equal(second.infer({"image": -IMAGE})["features"], again)


def test_maps_come_after_the_outputs(version_folder):
    maps = load(version_folder).open_maps()
    assert [spec.name for spec in maps.outputs] == ["features", "attention.block"]
    answer = maps.infer({"image": IMAGE})
    assert np.allclose(answer["features"], IMAGE * answer["attention.block"], atol=1e-6)


def test_model_without_maps_says_so(version_folder, rewrite_card):
    (version_folder / "maps.onnx").unlink()
    rewrite_card(version_folder)
    with pytest.raises(NotFound, match="simam version 1 has no attention maps"):
        load(version_folder).open_maps()


@pytest.mark.parametrize("name", ["model.onnx", "maps.onnx", "golden.npz"])
def test_missing_file_is_named(version_folder, name):
    (version_folder / name).unlink()
    with pytest.raises(ModelBroken, match=f"{name} is missing"):
        load(version_folder)


@pytest.mark.parametrize("name", ["Model.onnx", "resnet50.ONNX"])
def test_a_model_of_another_name_is_told(version_folder, name):
    (version_folder / "maps.onnx").unlink()
    (version_folder / "model.onnx").rename(version_folder / name)
    with pytest.raises(ModelBroken, match=f"model.onnx is missing, found '{name}'"):
        load(version_folder)


@pytest.mark.parametrize("name", ["model.onnx", "maps.onnx", "golden.npz"])
def test_half_written_file_is_named(version_folder, name):
    path = version_folder / name
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ModelBroken, match=f"{name} differs from the hash"):
        load(version_folder)


def test_card_without_a_hash_of_the_model_is_refused(version_folder, rewrite_card):
    rewrite_card(version_folder, files=("golden.npz",))
    with pytest.raises(ModelBroken, match=r"no hash of model\.onnx"):
        load(version_folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname"])
def test_card_that_names_a_file_elsewhere_is_refused(version_folder, rewrite_card, name):
    (version_folder.parent / "secret").write_text("secret")
    card = rewrite_card(version_folder)
    rewrite_card(version_folder, sha256=card.sha256 | {name: "0" * 64})
    with pytest.raises(ModelBroken, match="outside the version's folder"):
        load(version_folder)


def test_link_that_leads_elsewhere_is_refused(version_folder, tmp_path):
    elsewhere = tmp_path / "elsewhere.onnx"
    shutil.move(version_folder / "model.onnx", elsewhere)
    (version_folder / "model.onnx").symlink_to(elsewhere)
    with pytest.raises(ModelBroken, match=r"model\.onnx leads outside"):
        load(version_folder)


def test_link_to_itself_is_refused(version_folder):
    (version_folder / "weights.bin").symlink_to("weights.bin")
    with pytest.raises(ModelBroken, match=r"weights\.bin is a link to itself"):
        load(version_folder)


def test_link_within_the_folder_is_followed(version_folder):
    (version_folder / "data").mkdir()
    shutil.move(version_folder / "model.onnx", version_folder / "data" / "model.onnx")
    (version_folder / "model.onnx").symlink_to("data/model.onnx")
    assert load(version_folder).kernels == "body"


@pytest.mark.parametrize(
    ("field", "name", "shape", "reason"),
    [
        ("inputs", "picture", (-1, 4, 8, 8), "the card's inputs are ['picture'], the file's ['image']"),
        ("inputs", "image", (-1, 4, 8, 9), "image is FP32[-1, 4, 8, 9] in the card, FP32[-1, 4, 8, 8] in the file"),
        ("outputs", "features", (-1, 4, 64), "features is FP32[-1, 4, 64] in the card"),
    ],
)
def test_card_that_does_not_fit_the_file_is_refused(version_folder, rewrite_card, field, name, shape, reason):
    rewrite_card(version_folder, **{field: (TensorSpec(name=name, datatype="FP32", shape=shape),)})
    with pytest.raises(ModelBroken) as refusal:
        load(version_folder)
    assert reason in str(refusal.value)


def test_wrong_golden_answers_keep_a_version_from_being_served(version_folder, rewrite_card):
    write_golden(version_folder / "golden.npz", {"image": IMAGE}, {"features": IMAGE}, {})
    rewrite_card(version_folder)
    with pytest.raises(ModelBroken, match="not the golden answers: features: off by"):
        load(version_folder)


def test_output_without_a_tolerance_is_not_trusted(version_folder, rewrite_card):
    rewrite_card(version_folder, tolerances={})
    with pytest.raises(ModelBroken, match="features: no tolerance"):
        load(version_folder)


def test_damaged_card_is_told(version_folder):
    (version_folder / "card.json").write_text("{")
    with pytest.raises(ModelBroken, match=r"card\.json"):
        load(version_folder)


def test_empty_folder_is_told(tmp_path):
    with pytest.raises(ModelBroken, match=r"model\.onnx is missing"):
        load(tmp_path)
