"""Model folders with Triton's config.pbtxt: served as it says, or refused with the name of what is not supported."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from onnx import helper
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException

from fovea.contract.errors import ModelBroken
from fovea.runtime.model_toml import Latest, ServingChoices
from fovea.runtime.repository import scan
from fovea.runtime.session_choices import SessionChoices
from fovea.serving.lifecycle.triton_choices import CHOICES
from fovea.serving.lifecycle.triton_config import choices_of, parse, read_config
from fovea.serving.lifecycle.triton_fields import FIELDS, PARAMETERS, PARTS
from servers import RunningServer, running_server, save_model, tensor, wait_until
from simam_version import images, simam, write_version

SERVED = {
    "double": """
        name: "double"
        platform: "onnxruntime_onnx"
        max_batch_size: 4
        input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
        output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" } ]
        version_policy { specific { versions: [ 1 ] } }
        dynamic_batching { max_queue_delay_microseconds: 100 }
        instance_group [ { count: 2 kind: KIND_CPU } ]
        optimization { priority: PRIORITY_MAX }
    """,
    "alone": 'backend: "onnxruntime" input [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 4 ] } ]',
    "narrow": 'max_batch_size: 8 input [ { name: "x" data_type: TYPE_FP32 dims: [ 6 ] } ]',
    "silent": "max_batch_size: 3",
    "minimal": 'backend: "onnxruntime" dynamic_batching { }',
    "none_chosen": "version_policy { specific { versions: [ 5 ] } }",
}
LIBRARY = 'model_operations { op_library_filename: "/opt/ops.so" }'
CARDS = {"exported": "max_batch_size: 4", "exported_alone": ""}
REFUSED = {
    "no_such_input": ('input [ { name: "z" data_type: TYPE_FP32 dims: [ 4 ] } ]', "input z: the file has ['x']"),
    "dtype": ('input [ { name: "x" data_type: TYPE_INT64 dims: [ -1, 4 ] } ]', "x is INT64[-1, 4] there, FP32[-1, 4]"),
    "dims": ('max_batch_size: 8 output [ { name: "y" data_type: TYPE_FP32 dims: [ 5 ] } ]', "y is FP32[-1, 5] there"),
    "no_batch": ("max_batch_size: 8", "does not batch"),
    "decoupled": (
        "model_transaction_policy { decoupled: true }",
        "model_transaction_policy.decoupled is not supported",
    ),
}


def doubling(repository: Path, name: str, axes: list[int | str], versions: tuple[int, ...] = (1,)) -> None:
    for version in versions:
        node = helper.make_node("Add", ["x", "x"], ["y"])
        save_model(repository, name, [node], [tensor("x", axes)], [tensor("y", axes)], version)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("triton")
    doubling(root, "double", ["n", 4], (1, 2))
    doubling(root, "narrow", ["n", "length"])
    doubling(root, "no_batch", [3])
    for name in ("alone", "silent", "minimal", "none_chosen", "no_such_input", "dtype", "dims", "library", "decoupled"):
        doubling(root, name, ["n", 4])
    (root / "library" / "config.pbtxt").write_text(LIBRARY)
    for name in CARDS:
        write_version(root / name / "1")
        (root / name / "config.pbtxt").write_text(CARDS[name])
    for name, text in [*SERVED.items(), *((name, text) for name, (text, _) in REFUSED.items())]:
        (root / name / "config.pbtxt").write_text(text)
    (root / "double" / "labels.txt").write_text("\ufeffone\r\ntwo\nthree\nfour\n")  # as Notepad writes it
    return root


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[RunningServer]:
    with running_server(repository) as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def infer(client: Any, model: str, x: np.ndarray, top: int = 0) -> Any:
    sent = triton.InferInput("x", x.shape, "FP32")
    sent.set_data_from_numpy(x)
    wanted = [triton.InferRequestedOutput("y", class_count=top)]
    return client.infer(model, [sent], outputs=wanted).as_numpy("y")


def rows(count: int, width: int = 4) -> np.ndarray:
    return np.arange(count * width, dtype=np.float32).reshape(count, width)


@pytest.mark.parametrize(("model", "x"), [("double", rows(4)), ("alone", rows(9)), ("narrow", rows(2, 6))])
def test_a_model_is_served_as_its_configuration_says(client: Any, model: str, x: np.ndarray) -> None:
    np.testing.assert_array_equal(infer(client, model, x), x * 2)


@pytest.mark.parametrize(
    ("model", "x", "told"),
    [
        ("double", rows(5), "batch of 1 to 4 rows"),
        ("silent", rows(4), "batch of 1 to 3 rows"),
        ("narrow", rows(1, 5), "expected shape [-1, 6]"),
        ("alone", rows(2, 5), "expected shape [-1, 4]"),
    ],
)
def test_what_the_configuration_does_not_allow_is_refused(client: Any, model: str, x: np.ndarray, told: str) -> None:
    with pytest.raises(InferenceServerException) as refusal:
        infer(client, model, x)
    assert told in str(refusal.value)


def test_the_configuration_is_told_again(client: Any) -> None:
    config = client.get_model_config("double").config
    assert (config.max_batch_size, config.instance_group[0].count) == (4, 2)
    assert config.dynamic_batching.max_queue_delay_microseconds == 100
    assert list(config.version_policy.specific.versions) == [1]
    assert client.get_model_config("alone").config.max_batch_size == 0


def test_where_nothing_is_said_of_batches_the_file_decides(client: Any) -> None:
    assert client.get_model_config("minimal").config.max_batch_size == 32
    np.testing.assert_array_equal(infer(client, "minimal", rows(9)), rows(9) * 2)


@pytest.mark.parametrize(("model", "most_rows"), [("exported", 4), ("exported_alone", 8)])
def test_a_version_with_a_card_is_served_as_its_configuration_says(client: Any, model: str, most_rows: int) -> None:
    assert client.get_model_config(model).config.max_batch_size == most_rows
    picture = images(2)
    sent = triton.InferInput("image", picture.shape, "FP32")
    sent.set_data_from_numpy(picture)
    np.testing.assert_allclose(client.infer(model, [sent]).as_numpy("features"), simam(picture)[0], atol=1e-4)


def test_labels_come_from_the_file_that_is_named(client: Any) -> None:
    best = [b"6.000000:3:four", b"4.000000:2:three", b"2.000000:1:two", b"0.000000:0:one"]
    assert infer(client, "double", rows(1), top=4).tolist() == [best]


@pytest.mark.parametrize(("model", "told"), [(name, told) for name, (_, told) in REFUSED.items()])
def test_a_configuration_that_cannot_be_met_is_the_reason_why_the_model_is_not_served(
    client: Any, model: str, told: str
) -> None:
    (reason,) = [one.reason for one in client.get_model_repository_index().models if one.name == model]
    assert reason.startswith("config.pbtxt: ")
    assert told in reason


def test_a_library_of_operators_is_opened_only_where_the_servers_operator_lists_it(client: Any) -> None:
    (told,) = [one for one in client.get_model_repository_index().models if one.name == "library"]
    assert (told.state, "'ops.so' is not in the server's custom_op_libraries" in told.reason) == ("UNAVAILABLE", True)


@pytest.mark.parametrize(("model", "code"), [("decoupled", "UNIMPLEMENTED"), ("no_such_input", "UNAVAILABLE")])
def test_a_model_that_no_wait_will_make_ready_is_refused_with_a_code_on_which_nobody_tries_again(
    client: Any, model: str, code: str
) -> None:
    with pytest.raises(InferenceServerException, match=re.escape(REFUSED[model][1])) as refusal:
        infer(client, model, rows(1))
    assert refusal.value.status() == f"StatusCode.{code}"


def test_a_model_of_which_no_version_is_chosen_is_listed_and_its_callers_hear_why(client: Any) -> None:
    why = "its version policy chooses none of [1]"
    (told,) = [one for one in client.get_model_repository_index().models if one.name == "none_chosen"]
    assert (told.version, told.state, told.reason) == ("", "UNAVAILABLE", why)
    with pytest.raises(InferenceServerException, match=re.escape(f"no available versions: {why}")) as refusal:
        infer(client, "none_chosen", rows(1))
    assert refusal.value.status() == "StatusCode.NOT_FOUND"


def test_hints_without_effect_are_logged_where_the_model_is_loaded(server: RunningServer) -> None:
    told = "double: config.pbtxt: without effect here: instance_group.kind (the server's device says where models run)"
    wait_until(lambda: any(told in line for line in server.errors))


def test_and_told_in_the_index(client: Any) -> None:
    (told,) = [one for one in client.get_model_repository_index().models if one.name == "double"]
    assert told.state == "READY"
    assert "optimization (it changes no answer)" in told.reason


def problem_of(folder: Path, text: str) -> str | None:
    doubling(folder, "m", ["n", 4])
    (folder / "m" / "config.pbtxt").write_text(text)
    return scan(folder, read_config)["m"].problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_batch_size: many", "1:17"),
        ("max_batches: 8", 'no field named "max_batches"'),
        ('name: "n"', "name: expected m, found n"),
        ('platform: "tensorrt_plan"', "platform: expected onnxruntime_onnx, found tensorrt_plan"),
        ('backend: "python"', "backend: expected onnxruntime, found python"),
        ('default_model_filename: "../net.onnx"', "default_model_filename: expected the name of a file"),
        ("max_batch_size: -1", "max_batch_size: Input should be greater than 0"),
        ("max_batch_size: 5000", "max_batch_size: Input should be less than or equal to 4096, found 5000"),
        ('input { name: "x" dims: 4 }', "x: datatype"),
        ('input { name: "x" data_type: TYPE_BF16 dims: 4 }', "FP64' or 'BYTES', found 'BF16'"),
        ('input { name: "x" data_type: 77 dims: 4 }', "FP64' or 'BYTES', found '77'"),
        ('input { name: "x" data_type: TYPE_FP32 dims: 2 reshape { } }', "x: reshape: [2] and [] do not hold the same"),
        (
            'max_batch_size: 2 output { name: "y" data_type: TYPE_FP32 dims: [ -1, 2 ] reshape { shape: [ 2, -1 ] } }',
            "y: reshape: [-1, -1, 2] and [-1, 2, -1] do not hold the same elements",
        ),
        ('input { name: "x" data_type: TYPE_FP32 allow_ragged_batch: true }', "input.allow_ragged_batch"),
        ('output { name: "y" data_type: TYPE_FP32 is_shape_tensor: true }', "output.is_shape_tensor"),
        ('output { name: "y" data_type: TYPE_FP32 label_filename: "no.txt" }', "no.txt is missing"),
        ('output { name: "y" data_type: TYPE_FP32 label_filename: "../x" }', "leads outside"),
        ('output { name: "y" data_type: TYPE_FP32 label_filename: "\\000" }', "null"),
        ("max_batch_size: 4 dynamic_batching { preserve_ordering: true }", "dynamic_batching.preserve_ordering"),
        (
            "max_batch_size: 4 dynamic_batching { default_queue_policy { timeout_action: DELAY } }",
            "dynamic_batching.default_queue_policy.timeout_action is not supported",
        ),
        (
            "max_batch_size: 4 dynamic_batching { priority_queue_policy { key: 1 value { max_queue_size: 1 } } }",
            "dynamic_batching.priority_queue_policy is not supported",
        ),
        ("sequence_batching { }", "sequence_batching is not supported"),
        ("ensemble_scheduling { }", "ensemble_scheduling is not supported"),
        ("instance_group { passive: true }", "instance_group.passive is not supported"),
        ("batch_input { }", "batch_input is not supported"),
        ('model_repository_agents { agents { name: "checksum" } }', "model_repository_agents is not supported"),
        ('cc_model_filenames { key: "7.5" value: "m.onnx" }', "cc_model_filenames is not supported"),
        ('parameters { key: "intra_op_thread_count" value { string_value: "two" } }', ".pbtxt: parameters.intra_op"),
        ('parameters { key: "intra_op_thread_count" value { string_value: "9999" } }', "parameters: "),
        (
            """parameters { key: "enable_mem_arena" value { string_value: "0" } }
            parameters { key: "memory.enable_memory_arena_shrinkage" value { string_value: "cpu:0" } }""",
            "parameters: shrink_arena = true needs an arena",
        ),
        ("instance_group { count: 65 }", "instance_group.count: Input should be less than or equal to 64"),
        ("batch_output { } batch_input { }", "never joined; batch_output is not supported"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path: Path, text: str, told: str) -> None:
    problem = problem_of(tmp_path, text)
    assert problem
    assert told in problem, problem


def test_model_toml_goes_before_config_pbtxt(tmp_path: Path) -> None:
    doubling(tmp_path, "m", ["n", 4])
    (tmp_path / "m" / "config.pbtxt").write_text("ensemble_scheduling { }")
    (tmp_path / "m" / "model.toml").write_text("max_batch_rows = 2")
    folder = scan(tmp_path, read_config)["m"]
    assert (folder.problem, folder.choices.max_batch_rows, folder.declared) == (None, 2, None)


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("", "latest"),
        ("version_policy { all { } }", "all"),
        ("version_policy { latest { num_versions: 2 } }", Latest(latest=2)),
        ("version_policy { latest { } }", Latest(latest=1)),
        ("version_policy { specific { versions: [ 3, 1 ] } }", (3, 1)),
    ],
)
def test_version_policies_are_the_same(text: str, versions: object) -> None:
    assert choices_of(parse(text)).versions == versions


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("", ServingChoices()),
        ("max_batch_size: 16", ServingChoices(max_batch_rows=16)),
        ("instance_group { count: 2 } instance_group { }", ServingChoices(instances=3)),
        (
            "max_batch_size: 4 dynamic_batching { max_queue_delay_microseconds: 500 }",
            ServingChoices(max_batch_rows=4, max_queue_delay_s=0.0005),
        ),
        (
            "max_batch_size: 4 dynamic_batching { preferred_batch_size: [ 2, 4 ] }",
            ServingChoices(max_batch_rows=4, preferred_batch_rows=(2, 4)),
        ),
        ("response_cache { enable: true }", ServingChoices(cache=True)),
        ("model_transaction_policy { decoupled: false }", ServingChoices()),
        (
            'parameters { key: "intra_op_thread_count" value { string_value: "4" } }'
            'parameters { key: "enable_mem_arena" value { string_value: "0" } }'
            'parameters { key: "execution_mode" value { string_value: "1" } }',
            ServingChoices(session=SessionChoices(threads=4, arena=False)),
        ),
        (
            'parameters { key: "memory.enable_memory_arena_shrinkage" value { string_value: "cpu:0" } }'
            'parameters { key: "intra_op_thread_count" value { string_value: "0" } }',
            ServingChoices(session=SessionChoices(shrink_arena=True)),
        ),
        (
            'model_operations { op_library_filename: [ "/opt/tritonserver/ops.so", "b.so" ] }',
            ServingChoices(session=SessionChoices(custom_op_libraries=("ops.so", "b.so"))),
        ),
    ],
)
def test_choices_are_the_same_in_our_words(text: str, choices: ServingChoices) -> None:
    assert choices_of(parse(text)) == choices


def test_a_default_priority_that_is_no_level_is_told() -> None:
    with pytest.raises(ModelBroken, match=r"config\.pbtxt: dynamic_batching: .*default_priority 5 is above"):
        choices_of(parse("max_batch_size: 4 dynamic_batching { default_priority_level: 5 }"))


@pytest.mark.parametrize(
    "text",
    [
        'model_warmup { name: "a" batch_size: 1 inputs { key: "x" value { data_type: TYPE_FP32 zero_data: true } } }',
        'parameters { key: "session.disable_prepacking" value { string_value: "1" } }',
        "instance_group { kind: KIND_GPU gpus: [ 0, 1 ] rate_limiter { priority: 2 } }",
        'metric_tags { key: "a" value: "b" }',
        'runtime: "libtriton_onnxruntime.so"',
        'input { name: "x" data_type: TYPE_FP32 dims: [ -1, 4 ] } dynamic_batching { preferred_batch_size: [ 8 ] }',
        "max_batch_size: 8 dynamic_batching { default_queue_policy { allow_timeout_override: true } }",
    ],
)
def test_what_changes_no_answer_is_passed_over_with_a_word(tmp_path: Path, text: str) -> None:
    doubling(tmp_path, "m", ["n", 4])
    (tmp_path / "m" / "config.pbtxt").write_text(text)
    folder = scan(tmp_path, read_config)["m"]
    assert folder.problem is None
    assert folder.declared
    assert folder.declared.remark.startswith("without effect here: ")


def test_the_table_has_every_field_of_tritons_and_no_other() -> None:
    found = set(_leaves("", model_config_pb2.ModelConfig.DESCRIPTOR))
    assert {path for path in FIELDS if not path.startswith(f"{PARAMETERS}.")} == found
    assert all(use.why for use in FIELDS.values() if use.kind != "done")
    assert {path for path, _ in CHOICES.values()} <= found


def _leaves(prefix: str, descriptor: Any) -> Iterator[str]:
    for field in descriptor.fields:
        path = prefix + field.name
        yield from _leaves(f"{path}.", field.message_type) if path in PARTS else [path]


LONG = "config.pbtxt is larger than 256 KiB"
LABELS = 'output { name: "y%d" data_type: TYPE_FP32 dims: 4 label_filename: "labels%d.txt" }'


def folder_with(folder: Path, config: str, labels: int = 0) -> Path:
    """A model's folder with so many files of half a megabyte of labels."""
    folder.mkdir()
    (folder / "config.pbtxt").write_text(config)
    for number in range(labels):
        (folder / f"labels{number}.txt").write_text("a\n" * (1 << 18))
    return folder


def test_configurations_and_labels_are_bounded_in_size_whatever_names_them_how_often(tmp_path: Path) -> None:
    for name, config in {"long": "#\n" * (1 << 18), "labels": "".join(LABELS % (n, n) for n in range(3))}.items():
        with pytest.raises(ModelBroken, match=LONG if name == "long" else "label files of more than 1024 KiB together"):
            read_config(folder_with(tmp_path / name, config, labels=3))
    config = "".join(LABELS % (number, 0) for number in range(2000))
    start_s = time.process_time()
    configured = read_config(folder_with(tmp_path / "often", config, labels=1))
    assert configured is not None
    assert time.process_time() - start_s < 3


def test_a_configuration_of_nothing_but_small_parts_is_read_in_a_moment(tmp_path: Path) -> None:
    config = f"version_policy {{ specific {{ versions: [{'1,' * 120_000}1] }} }}"
    start_s = time.process_time()
    read_config(folder_with(tmp_path / "model", config))
    assert time.process_time() - start_s < 3


def test_a_format_that_has_no_name_hides_no_other_model(tmp_path: Path) -> None:
    for name in ("good", "odd"):
        doubling(tmp_path, name, ["N", 4])
    text = 'max_batch_size: 4 input [ { name: "x" data_type: TYPE_FP32 format: 9 dims: [ 4 ] } ]'
    (tmp_path / "odd" / "config.pbtxt").write_text(text)
    declared = read_config(tmp_path / "odd").declared
    assert declared.formats == {"x": "9"}
