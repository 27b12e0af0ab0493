"""The rules of deploy/prometheus as the Prometheus operator takes them, on standard output (YAML that is JSON).

python deploy/kubernetes/prometheus_rule.py | kubectl apply -f -
"""

from __future__ import annotations

import json
from pathlib import Path

import yaml

RULES = Path(__file__).parents[1] / "prometheus" / "rules"


def prometheus_rule(folder: Path = RULES) -> dict[str, object]:
    """One resource with the groups of all files."""
    files = sorted(folder.glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "fovea", "labels": {"app.kubernetes.io/name": "fovea"}},
        "spec": {"groups": groups},
    }


if __name__ == "__main__":
    print(json.dumps(prometheus_rule(), indent=1))
