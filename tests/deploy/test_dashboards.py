"""Grafana's dashboards are what the code makes of the table of metrics, and every panel of them shows something."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.grpc as triton

from certificates import Certificate, authority, signed
from committed_models import COMMITTED
from fovea.contract.model_card import CARD_FILE, ModelCard
from fovea.serving.observability.metrics import METRICS
from grafana.dashboards import FOLDER, PAGES, texts
from grafana.queries import metrics_in, series
from prometheus_servers import RunningPrometheus, program_or_skip, running_prometheus, until
from servers import RunningServer, running_server

QUERIES = {
    f"{page.uid}: {panel.title}: {legend}": query
    for page in PAGES
    for panel in page.panels
    for legend, query in panel.queries.items()
}
MODELS = ("fashion-cbam", "fashion-none", "fashion-vit")
CACHED = "fashion-none"


def test_the_files_are_what_the_code_makes() -> None:
    """Where this fails after a change of the metrics or of a panel: `make dashboards`."""
    assert {path: path.read_text() for path in FOLDER.iterdir()} == texts()


def test_no_panel_names_a_metric_that_is_not_served() -> None:
    written = re.findall(r"fovea_\w+", "".join(path.read_text() for path in FOLDER.iterdir()))
    assert written
    assert {*metrics_in(written)} <= METRICS.keys()


def test_no_served_histogram_is_without_a_panel() -> None:
    shown = metrics_in(QUERIES.values())
    assert {name for name, metric in METRICS.items() if metric.kind == "histogram"} <= {*shown}


def test_a_label_that_a_metric_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="stage"):
        series("fovea_queue_duration_seconds", stage="run")


def test_every_panel_lies_within_the_width_of_a_screen_and_beside_no_other() -> None:
    for path in FOLDER.iterdir():
        places = [panel["gridPos"] for panel in json.loads(path.read_text())["panels"]]
        cells = [
            (at["x"] + right, at["y"] + down) for at in places for right in range(at["w"]) for down in range(at["h"])
        ]
        assert len(cells) == len({*cells})
        assert max(x for x, _ in cells) < 24


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificates")
    return signed(authority(folder), "localhost", folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, secured: Certificate) -> Iterator[RunningServer]:
    """With whatever makes its metrics have values: a certificate, a cache, samples of attention."""
    repository = tmp_path_factory.mktemp("repository")
    for name in MODELS:
        (repository / name).mkdir()
        (repository / name / "1").symlink_to(COMMITTED[name])
    (repository / CACHED / "model.toml").write_text("cache = true\n")
    tls = (f"--tls-cert={secured.cert}", f"--tls-key={secured.key}")
    with running_server(repository, *tls, "--cache-mb=1", "--attention-sample-s=0.1", "--ready-when=any") as server:
        yield server


@pytest.fixture(scope="module")
def prometheus(
    server: RunningServer, secured: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningPrometheus]:
    """It has seen each model asked, and asked again."""
    program_or_skip("prometheus")
    folder, metrics = tmp_path_factory.mktemp("prometheus"), server.metrics.replace("http:", "https:")
    with running_prometheus(folder, metrics) as prometheus:
        address = server.grpc.replace("127.0.0.1", "localhost")
        authority_file = str(secured.cert.with_name("authority.pem"))
        with triton.InferenceServerClient(address, ssl=True, root_certificates=authority_file) as client:
            ask_until_every_series_rose(prometheus, client)
        yield prometheus


def ask_until_every_series_rose(prometheus: RunningPrometheus, client: triton.InferenceServerClient) -> None:
    attention = "count(increase(fovea_attention_op_seconds_count[5m]) > 0) >= 2"
    rose = f'{attention} and count(increase(fovea_cache_lookups_total{{result="hit"}}[5m]) > 0)'

    def asked() -> bool:
        for name in MODELS:
            ask(client, name)
        return bool(prometheus.query(rose))

    until(asked)


def ask(client: triton.InferenceServerClient, name: str) -> None:
    spec = ModelCard.read(COMMITTED[name] / CARD_FILE).inputs[0]
    row = np.zeros((1, *spec.shape[1:]), np.float32)
    tensor = triton.InferInput(spec.name, row.shape, "FP32")
    tensor.set_data_from_numpy(row)
    client.infer(name, [tensor])


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_of_a_panel_gives_data(prometheus: RunningPrometheus, name: str) -> None:
    query = QUERIES[name].replace("$__rate_interval", "1m").replace("$model", ".*").replace("$attention", ".*")
    assert {series["value"][1] for series in prometheus.query(query)} - {"NaN"}
