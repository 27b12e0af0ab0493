"""Prometheus's rules, by its own promtool: each alert fires on series that deserve it, and on no others."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from fovea.serving.observability.metrics import METRICS
from prometheus_servers import RULES, program_or_skip

ROOT = RULES.parents[2]
FILES = sorted(RULES.glob("*.yml"))
TEXT = "".join(path.read_text() for path in FILES)
ALERTS = re.findall(r"- alert: (\w+)", TEXT)
_MODEL = 'model="m",version="1",attention="simam"'


@dataclass(frozen=True)
class Case:
    """Series for an alert: some for which it fires at a time, and some for which it is silent then."""

    fires: dict[str, str]
    silent: dict[str, str]
    at: str


def requests(*, failing: str, ok: str = "0+1000x400") -> dict[str, str]:
    """Counts of requests, a minute apart."""
    name = f"fovea_requests_total{{{_MODEL},outcome="
    return {f'{name}"ok"}}': ok, f'{name}"failed"}}': failing, f'{name}"invalid"}}': "0+1000x400"}


def answers(*, quick: str, every: str = "0+1000x400") -> dict[str, str]:
    """Counts of answers within 0.1 s, and of all, a minute apart."""
    name = f'fovea_request_duration_seconds_bucket{{{_MODEL},outcome="ok",le='
    return {f'{name}"0.1"}}': quick, f'{name}"+Inf"}}': every}


def waiting(numbers: str) -> dict[str, str]:
    return {f"fovea_waiting_requests{{{_MODEL}}}": numbers}


def ready(numbers: str) -> dict[str, str]:
    return {f"fovea_model_ready{{{_MODEL}}}": numbers}


def kernels(kind: str, cause: str) -> dict[str, str]:
    return {f'fovea_model_info{{{_MODEL},kernels="{kind}",kernels_cause="{cause}"}}': "1x60"}


def padding(of_each_batch: float) -> dict[str, str]:
    sums, counts = f"fovea_padding_ratio_sum{{{_MODEL}}}", f"fovea_padding_ratio_count{{{_MODEL}}}"
    return {sums: f"0+{of_each_batch * 10}x60", counts: "0+10x60"}


CASES = {
    "FoveaFailuresBurnFast": Case(requests(failing="0+20x400"), requests(failing="0+40x50 2000x350"), "80m"),
    "FoveaFailuresBurnSlowly": Case(requests(failing="0+8x400"), requests(failing="0+4x400"), "390m"),
    "FoveaSlownessBurnsFast": Case(answers(quick="0+800x400"), answers(quick="0+600x50 30600+1000x350"), "80m"),
    "FoveaSlownessBurnsSlowly": Case(answers(quick="0+900x400"), answers(quick="0+950x400"), "390m"),
    "FoveaDown": Case({'up{job="fovea"}': "1x5 0x20"}, {'up{job="fovea"}': "1x9 0 1x10", 'up{job="x"}': "0x20"}, "10m"),
    "FoveaModelNotReady": Case(ready("0x20"), ready("1x6 0x2 1x20"), "10m"),
    "FoveaQueueGrows": Case(waiting("0+20x20"), waiting("40x20"), "15m"),
    "FoveaKernelsFellBack": Case(kernels("body", "crashed"), kernels("body", "slower"), "5m"),
    "FoveaPaddingWaste": Case(padding(0.6), padding(0.4), "40m"),
    "FoveaLogLinesLost": Case(
        {"fovea_log_lines_lost_total": "0x10 7x20"}, {"fovea_log_lines_lost_total": "7x20"}, "15m"
    ),
    "FoveaCertificateEndsSoon": Case(
        {'fovea_certificate_expiry_timestamp_seconds{file="tls_cert"}': "1200000x20"},
        {'fovea_certificate_expiry_timestamp_seconds{file="tls_cert"}': "1300000x20"},
        "5m",
    ),
}


def test_every_alert_has_series_for_which_it_fires_and_others() -> None:
    assert ALERTS
    assert sorted(CASES) == sorted(ALERTS)


def test_every_rule_asks_for_metrics_that_are_served() -> None:
    asked = {
        name if name in METRICS else re.sub("_(bucket|sum|count)$", "", name)
        for name in re.findall(r"(?<![:\w])fovea_\w+(?=[{\[ ])", TEXT)
    }
    assert asked
    assert asked <= METRICS.keys()


def test_every_alert_has_a_runbook_that_it_links_to() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "RUNBOOKS.md").read_text(), re.MULTILINE)
    assert headings == ALERTS
    assert re.findall(r"runbook_url: (\S+)", TEXT) == [f"docs/RUNBOOKS.md#{name.lower()}" for name in ALERTS]


@pytest.mark.parametrize("alert", CASES)
@pytest.mark.parametrize("kind", ["fires", "silent"])
def test_an_alert_fires_for_series_that_deserve_it_and_for_no_others(tmp_path: Path, alert: str, kind: str) -> None:
    promtool, case = program_or_skip("promtool"), CASES[alert]
    series: dict[str, str] = getattr(case, kind)
    fired = {"labels": f'{{alertname="{alert}"}}', "value": 1}
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count by (alertname) (ALERTS{{alertname="{alert}",alertstate="firing"}})',
                "eval_time": case.at,
                "exp_samples": [fired] if kind == "fires" else [],
            }
        ],
    }
    file = tmp_path / "test.yml"  # JSON is YAML
    file.write_text(
        json.dumps({"rule_files": [str(path) for path in FILES], "evaluation_interval": "1m", "tests": [test]})
    )
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
