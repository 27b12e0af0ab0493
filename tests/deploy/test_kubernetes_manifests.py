"""deploy/kubernetes against the schemas of the APIs, and against each other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
SCHEMAS = json.loads((Path(__file__).parent / "schemas/kubernetes.json").read_text())
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yml").read_text())


def printed_rule() -> dict[str, Any]:
    """What is piped into kubectl."""
    script = FOLDER / "prometheus_rule.py"
    return json.loads(subprocess.run((sys.executable, script), capture_output=True, text=True, check=True).stdout)


RESOURCES: list[dict[str, Any]] = [
    one
    for file in (*KUSTOMIZATION["resources"], "kserve.yml")
    for one in yaml.safe_load_all((FOLDER / file).read_text())
] + [printed_rule()]
BY_KIND = {one["kind"]: one for one in reversed(RESOURCES)}  # of two services the one that balances connections
POD = BY_KIND["Deployment"]["spec"]["template"]["spec"]
RUNTIME = BY_KIND["ClusterServingRuntime"]["spec"]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_a_manifest_is_what_its_api_takes(resource: dict[str, Any]) -> None:
    kind = SCHEMAS["kinds"][f"{resource['apiVersion']}/{resource['kind']}"]
    schema = {"$defs": SCHEMAS["$defs"], **kind}
    errors = Draft202012Validator(schema).iter_errors(resource)
    assert not [f"{error.json_path}: {error.message[:200]}" for error in errors]


def test_every_manifest_is_in_the_kustomization_or_says_how_it_is_applied() -> None:
    listed = {*KUSTOMIZATION["resources"], "kustomization.yml", "kserve.yml"}
    assert {path.name for path in FOLDER.glob("*.yml")} == listed


def test_whatever_chooses_pods_chooses_the_deployments() -> None:
    labels = BY_KIND["Deployment"]["spec"]["template"]["metadata"]["labels"]
    chosen = [
        BY_KIND["Deployment"]["spec"]["selector"]["matchLabels"],
        BY_KIND["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        BY_KIND["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(one["spec"]["selector"] for one in RESOURCES if one["kind"] == "Service"),
    ]
    assert all(one == labels for one in chosen)
    assert BY_KIND["ServiceMonitor"]["spec"]["selector"]["matchLabels"] == BY_KIND["Service"]["metadata"]["labels"]


def test_ports_are_named_as_the_container_names_them() -> None:
    named = {port["name"]: port["containerPort"] for port in POD["containers"][0]["ports"]}
    ports = [port for one in RESOURCES if one["kind"] == "Service" for port in one["spec"]["ports"]]
    assert named == {"http": 8000, "grpc": 8001, "metrics": 8002}
    assert all(named[port["targetPort"]] == port["port"] for port in ports)


@pytest.mark.parametrize("container", [POD["containers"][0], RUNTIME["containers"][0]], ids=["Deployment", "KServe"])
def test_a_container_is_probed_over_grpc_has_limits_and_no_rights(container: dict[str, Any]) -> None:
    assert container["readinessProbe"]["grpc"] == {"port": 8001}
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    rights = container["securityContext"]
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert rights["allowPrivilegeEscalation"] is False


def test_pods_are_scaled_by_a_metric_that_is_served() -> None:
    from fovea.serving.observability.metrics import METRICS

    (metric,) = BY_KIND["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in METRICS


def test_kserve_gets_one_port_of_http_2_and_the_models_where_it_mounts_them() -> None:
    (container,) = RUNTIME["containers"]
    assert RUNTIME["protocolVersions"] == ["grpc-v2"]
    assert container["name"] == "kserve-container"
    assert container["ports"] == [{"name": "h2c", "containerPort": 8001, "protocol": "TCP"}]
    assert "--repository=/mnt/models" in container["args"]


def test_the_operator_gets_the_rules_that_prometheus_reads() -> None:
    files = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
    assert BY_KIND["PrometheusRule"]["spec"]["groups"] == [
        group for file in files for group in yaml.safe_load(file.read_text())["groups"]
    ]
