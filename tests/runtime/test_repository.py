"""A folder of models is read as it is, and one broken corner does not hide the rest."""

import os
import time
from pathlib import Path

import pytest

from fovea.contract.errors import Misconfigured
from fovea.runtime.names import NAME_RULE
from fovea.runtime.repository import chosen_versions, repository_meant, scan, why_none


@pytest.fixture
def folder_of(tmp_path: Path):
    def build(name: str, *versions: str, toml: str | None = None) -> Path:
        for version in versions:
            (tmp_path / name / version).mkdir(parents=True)
        if toml is not None:
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "model.toml").write_text(toml)
        return tmp_path

    return build


def test_models_are_found_in_order_with_their_versions(folder_of):
    folder_of("b", "1")
    models = scan(folder_of("a", "2", "10", "1"))
    assert {name: folder.versions for name, folder in models.items()} == {"a": (1, 2, 10), "b": (1,)}
    assert models["a"].version_path(2).is_dir()


def test_folders_of_other_names_are_no_versions_and_told_where_they_hold_a_model(folder_of):
    root = folder_of("a", "1", "0", "-2", "01", "1.5", "v2", "notes", ".2", "3.tmp", "٣")
    (root / "a" / "4").write_text("a file")
    for name in ("1", "01", "1.5", "v2", ".2", "3.tmp", "٣"):
        (root / "a" / name / "model.onnx").touch()
    folder = scan(root)["a"]
    assert (folder.versions, folder.odd_versions) == ((1,), ("01", "1.5", "v2", "٣"))


def test_what_a_version_links_to_and_other_configurations_are_no_versions_that_are_missing(folder_of):
    model = folder_of("a", "release", "configs") / "a"
    (model / "release" / "model.onnx").touch()
    (model / "configs" / "small.pbtxt").touch()  # as Triton keeps them
    (model / "1").symlink_to("release")
    (model / "2").symlink_to("2")
    folder = scan(model.parent)["a"]
    assert (folder.versions, folder.odd_versions) == ((1,), ())


def test_hidden_and_temporary_entries_are_passed_over_in_silence(folder_of):
    for name in (".git", "a.tmp", "model.part", "lost+found"):
        (folder_of(name, "1") / name / "1" / "model.onnx").touch()
    root = folder_of("good", "1")
    for name in ("README.md", "LICENSE"):
        (root / name).touch()
    assert list(scan(folder_of("last", "1"))) == ["good", "last"]


NO_NAME = f"its name cannot be a model's: expected {NAME_RULE}"
NO_VERSION = "it has no version folder: expected 1, 2 or another whole number, with model.onnx in it"


@pytest.mark.parametrize(
    ("made", "name", "reason", "is_meant"),
    [
        ("with space/1/model.onnx", "with space", NO_NAME, True),
        ("_x/1/model.onnx", "_x", NO_NAME, True),
        ("modèle/1/model.onnx", "modèle", NO_NAME, True),
        ("two\nlines/1/model.onnx", "two\\nlines", NO_NAME, True),
        ("no\udcffsense/1/model.onnx", "no\\udcffsense", NO_NAME, True),
        ("my notes/july.txt", "my notes", NO_NAME, False),
        ("flat/model.onnx", "flat", f"{NO_VERSION}, found 'model.onnx' (a file)", True),
        ("named/v1/model.onnx", "named", f"{NO_VERSION}, found 'v1'", True),
        ("zeros/001/model.onnx", "zeros", f"{NO_VERSION}, found '001'", True),
        ("blank/1 /model.onnx", "blank", f"{NO_VERSION}, found '1 '", True),
        ("notes/july.txt", "notes", NO_VERSION, False),
        ("file/1", "file", f"{NO_VERSION}, found '1' (a file)", False),
        ("empty/.hidden", "empty", NO_VERSION, False),
        ("lone.onnx", "lone.onnx", "it is a file: expected a folder, <model>/<version>/model.onnx", True),
        ("lone", "lone", "it is a file: expected a folder, <model>/<version>/model.onnx", False),
    ],
)
def test_what_is_no_model_is_told_with_what_was_expected(tmp_path, made, name, reason, is_meant):
    (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / made).touch()
    (folder,) = scan(tmp_path).values()
    assert (folder.name, why_none(folder), folder.is_meant) == (name, reason, is_meant)


def test_a_link_to_nowhere_is_told_and_one_to_a_model_is_one(folder_of):
    root = folder_of("a", "1")
    (root / "b").symlink_to("a")
    (root / "lost").symlink_to("nowhere")
    (root / "c").mkdir()
    (root / "c" / "1").symlink_to("nowhere")
    assert all(folder.is_meant for folder in scan(root).values())
    assert {name: folder.missing for name, folder in scan(root).items()} == {
        "a": None,
        "b": None,
        "c": f"{NO_VERSION}, found '1' (a link to nowhere)",
        "lost": "it is a link to nowhere",
    }


@pytest.mark.parametrize(("part", "is_one"), [("a", True), ("a/1", True), ("", False), ("empty", False)])
def test_a_part_of_a_repository_tells_which_one_is_meant(folder_of, part, is_one):
    root = folder_of("a", "1")
    folder_of("empty", "2")
    (root / "a" / "1" / "model.onnx").touch()
    assert repository_meant(root / part) == (root if is_one else None)


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (None, [5]),
        ('versions = "latest"', [5]),
        ("versions = {latest = 2}", [3, 5]),
        ("versions = {latest = 9}", [1, 3, 5]),
        ('versions = "all"', [1, 3, 5]),
        ("versions = [1, 3]", [1, 3]),
        ("versions = [3, 4]", [3]),
        ("instances = 2", [5]),
    ],
)
def test_version_policy_chooses(folder_of, toml, expected):
    folder = scan(folder_of("a", "1", "3", "5", toml=toml))["a"]
    assert folder.problem is None
    assert chosen_versions(folder) == expected


def test_serving_choices_are_read_also_behind_a_byte_order_mark(folder_of):
    toml = "\ufeffmax_batch_rows = 4\nmax_queue_delay_s = 0.01\ninstances = 2"
    choices = scan(folder_of("a", "1", toml=toml))["a"].choices
    assert (choices.max_batch_rows, choices.max_queue_delay_s, choices.instances) == (4, 0.01, 2)


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ('versions = "newest"', "model.toml: versions: Input should be 'latest' or 'all', found 'newest'"),
        ("versions = [0]", "model.toml: versions.0: Input should be greater than 0, found 0"),
        ("instances = 0", "instances"),
        ("instances = 65", "model.toml: instances: Input should be less than or equal to 64, found 65"),
        (f"instances = 0x{'f' * 60_000}", "model.toml: instances: Input should be less than or equal to 64"),
        ("max_batch_rows = 4097", "max_batch_rows"),
        ("max_queue_delay_s = 11", "max_queue_delay_s"),
        ("max_queue_delay_s = inf", "max_queue_delay_s"),
        ("max_queue_delay_s = nan", "max_queue_delay_s"),
        ("#" * (65 << 10), "larger than 64 KiB"),
        ("[a]\nb = 1\n" + "c." * 33 + "c = 1", "line 3 has more than 32 dots"),
        ("a = " + "[" * 60_000, "brackets in brackets, too many deep"),
        ("batch = 4", "batch"),
        ("default_priority = 1", "model.toml: file: default_priority 1 is above priority_levels 0"),
        ("max_batch_rows = ", "model.toml"),
        ("\0", "model.toml"),
    ],
)
def test_broken_choices_are_told_and_hide_no_other_model(folder_of, toml, reason):
    folder_of("good", "1")
    models = scan(folder_of("bad", "1", toml=toml))
    assert reason in str(models["bad"].problem)
    assert models["good"].problem is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_told_without_its_path_and_hides_no_other_model(folder_of):
    folder_of("good", "1")
    root = folder_of("closed", "1")
    (root / "closed").chmod(0)
    models = scan(root)
    (root / "closed").chmod(0o700)
    assert models["closed"].problem == "model.toml cannot be read: Permission denied"
    assert models["good"].problem is None


SLOW = {
    "a key of many parts": "a." * 32_000,
    "quoted parts, and what other texts end lines with": '"\u2028".' * 6_000,
    "a table of many parts": "[" + "a." * 400 + "a]\n" + "".join(f"b{i}.c = 1\n" for i in range(5_000)),
    "nested": "a = " + "[" * 60_000,
    "tables as deep as may be": "[" + "a." * 31 + "a]\n" + "".join(f"{'a.' * 32}k{i} = 1\n" for i in range(850)),
    "very many wrong values": f"versions = [{'-1,' * 20_000}]",
}


@pytest.mark.parametrize("kind", SLOW)
def test_choices_that_would_take_long_to_read_are_refused_in_a_moment(folder_of, kind):
    root = folder_of("bad", "1", toml=SLOW[kind])
    start_s = time.process_time()
    assert scan(root)["bad"].problem
    assert time.process_time() - start_s < 2


def test_choices_that_are_a_pipe_or_lie_elsewhere_are_not_read(folder_of):
    root = folder_of("endless", "1")
    folder_of("pipe", "1")
    (root / "endless" / "model.toml").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe" / "model.toml")
    models = scan(root)
    assert models["endless"].problem == "model.toml leads outside its folder"
    assert models["pipe"].problem == "model.toml is no regular file"


def test_model_without_versions_has_none_to_choose(folder_of):
    assert chosen_versions(scan(folder_of("a", toml="instances = 1"))["a"]) == []


def test_repository_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Misconfigured, match="nowhere cannot be read: No such file"):
        scan(tmp_path / "nowhere")
