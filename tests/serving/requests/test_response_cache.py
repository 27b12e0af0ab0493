"""The response cache: the same request is answered without a run, another never by its answer, and it is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from onnx import helper

from fovea.serving.requests.response_cache import MOST_INPUT_BYTES, ResponseCache
from raw_client import RawClient
from servers import RunningServer, plain_models, running_server, save_model, tensor, total, wait_until

CACHED = ("double", "texts", "pair", "any_length")
ROW = np.array([[1, 4, 2, 3]], np.float32)


@pytest.fixture(scope="module")
def caching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = plain_models(tmp_path_factory.mktemp("caching"))
    for model in CACHED:
        (repository / model / "model.toml").write_text("cache = true\n")
    return repository


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, caching: Path) -> Iterator[RunningServer]:
    with running_server(caching, f"--{request.param}", "--cache-mb=1", "--triton-metrics") as server:
        yield server


def asked(client: RawClient, model: str, *inputs: Any, datatype: str = "FP32", **more: Any) -> Any:
    """The answer to a request of these inputs, in the order of the model's."""
    names = ["x", "b"][: len(inputs)]
    raw = [data.tobytes() if isinstance(data, np.ndarray) else b"".join(map(element, data)) for data in inputs]
    shapes = [data.shape if isinstance(data, np.ndarray) else (1, len(data)) for data in inputs]
    tensors = [{"name": n, "datatype": datatype, "shape": s} for n, s in zip(names, shapes, strict=True)]
    return client("ModelInfer", model_name=model, inputs=tensors, raw_input_contents=raw, **more)


def element(text: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text


def told(client: RawClient, model: str) -> dict[str, int]:
    """What the statistics count of a model."""
    (stats,) = client("ModelStatistics", name=model).model_stats
    counts = {name: getattr(stats.inference_stats, name).count for name in ("success", "queue", "compute_infer")}
    hits = {name: getattr(stats.inference_stats, name).count for name in ("cache_hit", "cache_miss")}
    return {**counts, **hits, "rows": stats.inference_count, "batches": stats.execution_count}


def change(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


def test_the_same_request_is_answered_without_a_run_and_counts_as_triton_says(client: RawClient) -> None:
    before = told(client, "double")
    first, second = (asked(client, "double", ROW, id=name) for name in ("one", "two"))
    third = asked(client, "double", ROW)
    assert [answer.id for answer in (first, second, third)] == ["one", "two", ""]
    assert first.raw_output_contents == second.raw_output_contents == third.raw_output_contents
    assert [(one.name, one.datatype, list(one.shape)) for one in third.outputs] == [("y", "FP32", [1, 4])]
    expected = {"success": 3, "queue": 3, "compute_infer": 1, "cache_hit": 2, "cache_miss": 1, "rows": 1, "batches": 1}
    wait_until(lambda: change(before, told(client, "double")) == expected)


def test_an_answer_is_found_whatever_form_the_data_came_in_and_whatever_priority(client: RawClient) -> None:
    row = np.array([[7, 7, 7, 7]], np.float32)
    asked(client, "double", row)
    before = told(client, "double")["cache_hit"]
    typed = {"name": "x", "datatype": "FP32", "shape": [1, 4], "contents": {"fp32_contents": [7.0] * 4}}
    answer = client("ModelInfer", model_name="double", inputs=[typed])
    assert answer.raw_output_contents[0] == (row * 2).tobytes()
    asked(client, "double", row, parameters={"timeout": {"int64_param": 9_000_000}})
    assert told(client, "double")["cache_hit"] - before == 2


def test_no_other_request_gets_its_answer(client: RawClient) -> None:
    plain = asked(client, "double", ROW)
    best = asked(client, "double", ROW, outputs=[{"name": "y", "parameters": {"classification": {"int64_param": 1}}}])
    assert (plain.outputs[0].datatype, best.outputs[0].datatype) == ("FP32", "BYTES")
    two_rows = asked(client, "double", np.repeat(ROW, 2, axis=0))
    assert list(two_rows.outputs[0].shape) == [2, 4]
    assert np.frombuffer(asked(client, "double", -ROW).raw_output_contents[0], np.float32).tolist() == [-2, -8, -4, -6]
    one, other = (asked(client, "pair", *pair).raw_output_contents[0] for pair in ((ROW, 2 * ROW), (2 * ROW, ROW)))
    assert one != other
    for texts in ([b"a", b"bc"], [b"ab", b"c"]):
        answer = asked(client, "texts", texts, datatype="BYTES")
        assert answer.raw_output_contents[0] == b"".join(map(element, texts))


def test_models_that_do_not_ask_for_it_and_large_requests_are_not_cached(client: RawClient) -> None:
    before = told(client, "single"), told(client, "any_length")
    large = np.ones((1, MOST_INPUT_BYTES // 4 + 1), np.float32)
    for _ in range(2):
        asked(client, "single", np.ones(3, np.float32))
        asked(client, "any_length", large)
    wait_until(lambda: change(before[0], told(client, "single")).get("batches") == 2)
    wait_until(lambda: change(before[1], told(client, "any_length")).get("batches") == 2)
    assert not any(told(client, name)[kind] for name in ("single",) for kind in ("cache_hit", "cache_miss"))


def test_the_models_configuration_says_whether_it_is_cached(client: RawClient) -> None:
    shown = {name: client("ModelConfig", name=name).config.response_cache.enable for name in ("double", "single")}
    assert shown == {"double": True, "single": False}


def test_what_it_holds_is_bounded(server: RunningServer, client: RawClient) -> None:
    for value in range(40):
        asked(client, "any_length", np.full((1, 20_000), value, np.float32))
    held = total(server.samples(), "fovea_cache_bytes")
    assert (1 << 20) - 100_000 < held <= 1 << 20


def test_metrics_and_tritons_metrics_count_the_same(server: RunningServer, client: RawClient) -> None:
    asked(client, "double", ROW)
    asked(client, "double", ROW)

    def agree() -> bool:
        found, stats = server.samples(), told(client, "double")
        ours = [total(found, "fovea_cache_lookups_total", model="double", result=kind) for kind in ("hit", "miss")]
        theirs = [total(found, f"nv_cache_num_{kind}_per_model", model="double") for kind in ("hits", "misses")]
        return theirs == ours == [stats["cache_hit"], stats["cache_miss"]]

    wait_until(agree)


def test_a_model_that_was_loaded_again_never_answers_from_before(tmp_path: Path) -> None:
    def save(operator: str) -> None:
        save_model(tmp_path / operator, "m", [helper.make_node(operator, ["x"], ["y"])], *VALUES)
        model = onnx.load(tmp_path / operator / "m" / "1" / "model.onnx")
        (tmp_path / "repository" / "m" / "1").mkdir(parents=True, exist_ok=True)
        onnx.save(model, tmp_path / "repository" / "m" / "1" / "model.onnx")

    save("Neg")
    (tmp_path / "repository" / "m" / "model.toml").write_text("cache = true\n")
    flags = ("--cache-mb=1", "--control-mode=explicit", "--load-models=*", "--open-rpcs=model_control")
    with running_server(tmp_path / "repository", *flags) as server, grpc.insecure_channel(server.grpc) as channel:
        client = RawClient(channel)
        before = [asked(client, "m", ROW).raw_output_contents[0] for _ in range(2)]
        save("Abs")
        client("RepositoryModelLoad", model_name="m")
        after = [asked(client, "m", ROW).raw_output_contents[0] for _ in range(2)]
        wait_until(lambda: total(server.samples(), "fovea_cache_bytes") < 500)
    assert (before, after) == ([(-ROW).tobytes()] * 2, [ROW.tobytes()] * 2)


VALUES = ([tensor("x", ["n", 4])], [tensor("y", ["n", 4])])


def test_without_room_for_it_no_model_is_cached(caching: Path) -> None:
    with running_server(caching) as server, grpc.insecure_channel(server.grpc) as channel:
        client = RawClient(channel)
        for _ in range(2):
            asked(client, "double", ROW)
        wait_until(lambda: told(client, "double")["batches"] == 2)
        assert not client("ModelConfig", name="double").config.response_cache.enable
        assert [line for line in server.errors if "double asks for a response cache" in line]


def test_the_answers_that_were_not_used_the_longest_go_first() -> None:
    cache = ResponseCache(3000)
    for number in range(3):
        cache.put((0, bytes([number])), [np.zeros(600, np.uint8)])
    assert cache.get((0, b"\0"))
    cache.put((1, b"\3"), [np.zeros(600, np.uint8)])
    assert [cache.get((0, bytes([number]))) is None for number in range(3)] == [False, True, False]
    cache.put((0, b"\4"), [np.zeros(3000, np.uint8)])
    assert cache.get((0, b"\4")) is None
    cache.forget(0)
    assert cache.get((1, b"\3"))
    assert cache.bytes == 900
