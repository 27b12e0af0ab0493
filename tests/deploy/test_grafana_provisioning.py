"""What Grafana is given at its start, checked by what its documentation says of such files."""

from __future__ import annotations

from pathlib import Path

import yaml
from jsonschema import validate

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/grafana/provisioning"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DATA_SOURCES = {
    "type": "object",
    "required": ["apiVersion", "datasources"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": 1},
        "prune": {"type": "boolean"},
        "deleteDatasources": {"type": "array"},
        "datasources": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "type", "access"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "type": {"type": "string"},
                    "uid": {"type": "string", "maxLength": 40},
                    "access": {"enum": ["proxy", "direct"]},
                    "orgId": {"type": "integer"},
                    "url": {"type": "string"},
                    "user": {"type": "string"},
                    "basicAuth": {"type": "boolean"},
                    "isDefault": {"type": "boolean"},
                    "editable": {"type": "boolean"},
                    "version": {"type": "integer"},
                    "jsonData": {"type": "object"},
                    "secureJsonData": {"type": "object"},
                },
            },
        },
    },
}
PROVIDERS = {
    "type": "object",
    "required": ["apiVersion", "providers"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": 1},
        "providers": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "type", "options"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "orgId": {"type": "integer"},
                    "folder": {"type": "string"},
                    "folderUid": {"type": "string"},
                    "type": {"const": "file"},
                    "disableDeletion": {"type": "boolean"},
                    "updateIntervalSeconds": {"type": "integer"},
                    "allowUiUpdates": {"type": "boolean"},
                    "options": {
                        "type": "object",
                        "required": ["path"],
                        "additionalProperties": False,
                        "properties": {"path": {"type": "string"}, "foldersFromFilesStructure": {"type": "boolean"}},
                    },
                },
            },
        },
    },
}


def test_its_data_source_is_the_prometheus_beside_it() -> None:
    given = yaml.safe_load((FOLDER / "datasources/prometheus.yml").read_text())
    validate(given, DATA_SOURCES)
    (source,) = given["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in COMPOSE["grafana"]["depends_on"]


def test_its_dashboards_are_those_of_the_mounted_folder() -> None:
    given = yaml.safe_load((FOLDER / "dashboards/fovea.yml").read_text())
    validate(given, PROVIDERS)
    (provider,) = given["providers"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in COMPOSE["grafana"]["volumes"]
