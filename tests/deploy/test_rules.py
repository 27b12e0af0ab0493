"""Prometheus's rules, by its own promtool: each alert fires on series that deserve it, and on no others."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from tests.torture.provocations import ABSENCE, LOAD, STANDSTILL, STATES

from alert_cases import CASES, Case
from fovea.runtime.kernel_library import Cause
from fovea.serving.observability.metrics import METRICS
from prometheus_servers import RULES, program_or_skip

ROOT = RULES.parents[2]
FILES = sorted(RULES.glob("*.yml"))
TEXT = "".join(path.read_text() for path in FILES)
ALERTS = re.findall(r"- alert: (\w+)", TEXT)


def test_every_alert_has_series_for_which_it_fires_and_others() -> None:
    assert ALERTS
    assert sorted(CASES) == sorted(ALERTS)


def test_every_alert_is_provoked_on_a_real_server_by_torture() -> None:
    groups = (STATES, LOAD, STANDSTILL, ABSENCE)
    assert sorted(name for group in groups for names in group.values() for name in names) == sorted(ALERTS)


def test_every_cause_of_bodies_has_a_case() -> None:
    assert CASES["FoveaKernelsFellBack"].keys() == {*Cause}


def test_promtool_takes_the_configuration_with_its_rules() -> None:
    configuration = RULES.parent / "prometheus.yml"
    done = subprocess.run(
        [program_or_skip("promtool"), "check", "config", configuration], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("rules found") == len(FILES)


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
def test_an_alert_fires_for_series_that_deserve_it_and_for_no_others(tmp_path: Path, alert: str) -> None:
    promtool, file = program_or_skip("promtool"), tmp_path / "test.yml"  # JSON is YAML
    tests = [promtool_test(alert, name, case) for name, case in CASES[alert].items()]
    every = "5m" if "Burn" in alert else "1m"  # these wait for nothing, and look at long times
    file.write_text(json.dumps({"rule_files": [*map(str, FILES)], "evaluation_interval": every, "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def promtool_test(alert: str, name: str, case: Case) -> dict[str, object]:
    firing = f'count by (alertname) (ALERTS{{alertname="{alert}",alertstate="firing"}})'
    fired = {"labels": f'{{alertname="{alert}"}}', "value": case.fire}
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [
            {"expr": firing, "eval_time": f"{case.minute}m", "exp_samples": [fired] if case.fire else []}
        ],
    }
