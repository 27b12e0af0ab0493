"""What an operator reads at /metrics, for models that were trained and exported by this project."""

from __future__ import annotations

import gzip
import re
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from committed_models import COMMITTED, link_committed_models
from fovea.contract.model_card import CARD_FILE, GOLDEN_FILE, ModelCard
from fovea.serving.observability.metrics import METRICS
from servers import RunningServer, Samples, running_server, samples, total, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(link_committed_models(tmp_path_factory.mktemp("repository"))) as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Any:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def golden_rows(name: str) -> tuple[ModelCard, Any, Any]:
    folder = COMMITTED[name]
    card = ModelCard.read(folder / CARD_FILE)
    with np.load(folder / GOLDEN_FILE) as golden:
        return (
            card,
            golden[f"inputs/{card.inputs[0].name}"],
            {k: golden[k] for k in golden if not k.startswith("inputs/")},
        )


def infer(client: Any, name: str, outputs: list[str] | None = None) -> Any:
    card, x, _ = golden_rows(name)
    tensor = triton.InferInput(card.inputs[0].name, x.shape, "FP32")
    tensor.set_data_from_numpy(x.astype(np.float32))
    wanted = [triton.InferRequestedOutput(output) for output in outputs] if outputs else None
    return client.infer(name, [tensor], outputs=wanted)


def samples_when(server: RunningServer, found: Callable[[Samples], bool]) -> Samples:
    """Metrics are written after callers are answered, and attention time is sampled after that."""
    wait_until(lambda: found(server.samples()))
    return server.samples()


@pytest.mark.parametrize("name", COMMITTED)
def test_each_model_answers_its_golden_batch_and_counts_it(server: RunningServer, client: Any, name: str) -> None:
    card, x, golden = golden_rows(name)
    before = server.samples()
    answer = infer(client, name)
    for spec in card.outputs:
        expected = golden[f"outputs/{spec.name}"]
        np.testing.assert_allclose(answer.as_numpy(spec.name), expected, rtol=0, atol=card.tolerances[spec.name])
    labels = {"model": name, "version": COMMITTED[name].name, "attention": card.attention.value}
    count = "fovea_request_duration_seconds_count"
    had = total(before, count, outcome="ok", **labels)
    after = samples_when(server, lambda now: total(now, count, outcome="ok", **labels) > had)
    assert total(after, count, outcome="ok", **labels) == had + 1
    rows = total(after, "fovea_rows_total", outcome="ok", **labels) - total(
        before, "fovea_rows_total", outcome="ok", **labels
    )
    assert rows == len(x)
    for name_of in ("fovea_queue_duration_seconds_count", "fovea_batch_rows_count", "fovea_padding_ratio_count"):
        assert total(after, name_of, **labels) >= 1
    for stage in ("gather", "run", "split"):
        assert total(after, "fovea_batch_compute_seconds_count", stage=stage, **labels) >= 1


def test_the_ready_line_names_the_device_the_models_and_their_attention_types(server: RunningServer) -> None:
    types = sorted({kind.value for name in COMMITTED for kind in golden_rows(name)[0].attention_types})
    told = f", models {', '.join(COMMITTED)}, attention {', '.join(types)}, kernels "
    assert re.search(rf", device (cpu|cuda:0){re.escape(told)}", server.ready_line)


def test_time_inside_attention_is_measured_for_every_type(server: RunningServer, client: Any) -> None:
    expected = set()
    for name in COMMITTED:
        card, _, _ = golden_rows(name)
        infer(client, name)
        expected |= {(name, layer.operator, layer.attention.value) for layer in card.layers}
    assert len({attention for _, _, attention in expected}) >= 6

    def missing(now: Samples) -> set[tuple[str, str, str]]:
        return {
            (model, op, attention)
            for model, op, attention in expected
            if total(now, "fovea_attention_op_seconds_sum", model=model, op=op, attention=attention) <= 0
        }

    samples_when(server, lambda now: not missing(now))


def test_an_attention_map_is_sent_when_asked_for_by_name_and_only_then(client: Any) -> None:
    name = "fashion-cbam"
    card, x, golden = golden_rows(name)
    assert {output.name for output in infer(client, name).get_response().outputs} == {o.name for o in card.outputs}
    wanted = [card.outputs[0].name, *card.maps]
    answer = infer(client, name, wanted)
    assert [output.name for output in answer.get_response().outputs] == wanted
    for map_name, spec in card.maps.items():
        array = answer.as_numpy(map_name)
        assert array.shape == (len(x), *spec.shape[1:])
        np.testing.assert_allclose(array, golden[f"maps/{map_name}"], rtol=0, atol=card.tolerances[map_name])


def test_batches_that_warm_up_did_not_run_are_counted_and_those_with_maps_are_among_them(
    server: RunningServer, client: Any
) -> None:
    name, count = "fashion-cbam", "fovea_unwarmed_batches_total"
    before = total(server.samples(), count, model=name)
    infer(client, name)
    infer(client, name, [*golden_rows(name)[0].maps])
    samples_when(server, lambda now: total(now, count, model=name) == before + 1)


def test_classification_sends_labels(client: Any) -> None:
    card, x, golden = golden_rows("fashion-se")
    tensor = triton.InferInput(card.inputs[0].name, x.shape, "FP32")
    tensor.set_data_from_numpy(x.astype(np.float32))
    name = card.outputs[0].name
    answer = client.infer("fashion-se", [tensor], outputs=[triton.InferRequestedOutput(name, class_count=1)])
    best = golden[f"outputs/{name}"].argmax(1)
    assert [row[0].decode().split(":", 2)[2] for row in answer.as_numpy(name)] == [card.labels[index] for index in best]


def test_callers_texts_never_become_labels(server: RunningServer, client: Any) -> None:
    def stray(now: Samples) -> float:
        return total(now, "fovea_requests_total", model="_unknown", outcome="invalid")

    before = stray(server.samples())
    for name in ("made-up-1", "made-up-2"):
        with pytest.raises(triton.InferenceServerException, match=name):
            client.infer(name, [])
    after = server.samples()
    assert stray(after) - before == 2
    assert not [key for key in after if ("model", "made-up-1") in key[1]]


def test_every_metric_of_the_table_is_exposed_with_its_labels_and_no_other(server: RunningServer) -> None:
    with urllib.request.urlopen(server.metrics, timeout=20) as answer:
        text = answer.read().decode()
    for name, metric in METRICS.items():
        assert f"# HELP {name.removesuffix('_total') if metric.kind == 'counter' else name}" in text
    found = server.samples()
    for name, labels in found:
        base = name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
        expected = set(METRICS[name if name in METRICS else base].labels) | (
            {"le"} if name.endswith("_bucket") else set()
        )
        assert {label for label, _ in labels} == expected, name


def test_a_scrape_may_ask_for_single_metrics(server: RunningServer) -> None:
    wanted = "fovea_queue_duration_seconds_count"
    with urllib.request.urlopen(f"{server.metrics}?name[]={wanted}", timeout=20) as answer:
        assert {name for name, _ in samples(answer.read().decode())} == {wanted}


def test_who_takes_gzip_gets_the_same_packed(server: RunningServer) -> None:
    request = urllib.request.Request(server.metrics, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = answer.read()
    assert samples(gzip.decompress(packed).decode()).keys() == server.samples().keys()


def test_grpc_is_what_the_ready_line_says(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        grpc.channel_ready_future(channel).result(20)


def test_callers_that_send_drop_by_drop_take_few_threads_and_hinder_no_scrape(repository: Path) -> None:
    with running_server(repository) as server, ExitStack() as held:
        address = urlsplit(server.metrics)
        threads = Path(f"/proc/{server.process.pid}/task")
        before = len(list(threads.iterdir()))
        dripping = [
            held.enter_context(socket.create_connection((address.hostname, address.port), timeout=20))
            for _ in range(100)
        ]
        for connection in dripping:
            with suppress(OSError):  # cut off already
                connection.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        assert server.samples()
        assert len(list(threads.iterdir())) < before + 50
        with suppress(ConnectionResetError):
            assert dripping[0].recv(1) == b""
