"""CONTRIBUTING.md: its files and tests exist, and one line in the file that it names first goes the whole way."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from pydantic import Field, create_model
from torch import Tensor, nn

from fovea.attention.registration import OPERATOR_OF, operator
from fovea.cli import main
from fovea.cli import setting_flags as flags
from fovea.contract.attention import AttentionType
from fovea.contract.operators import OPERATORS, Operator
from fovea.export.exporter import export_graph
from fovea.export.function_bodies import BODIES
from fovea.recipes.catalogue import EVERY
from fovea.serving.observability.metrics import METRICS, Metric
from fovea.serving.observability.telemetry import Telemetry
from fovea.serving.settings import Settings
from one_node import session_of
from servers import samples

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"`((?:service|tests|docs|deploy|exported_models)/[\w./-]*)`", TEXT)
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize(("file", "name"), re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT))
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert name in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_an_operator_with_a_formula_and_a_body_goes_from_a_torch_module_to_onnx_runtime(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half = Operator("Halving", AttentionType.GATED, ("X",), ("Y", "Gate"))
    monkeypatch.setitem(OPERATORS, half.name, half)
    monkeypatch.setitem(BODIES, (half.name, ""), " Gate = Sigmoid(X) Y = Mul(X, Gate) ")
    monkeypatch.setitem(OPERATOR_OF, "fovea::halving", half.name)  # so that it is forgotten afterwards

    @operator(half.name)
    def halving(x: Tensor) -> tuple[Tensor, Tensor]:
        gate = torch.sigmoid(x)
        return x * gate, gate

    class Halving(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = torch.ops.fovea.halving(x)[0]
            return y

    graph = export_graph(nn.Sequential(nn.Linear(3, 3), Halving()), {"x": torch.ones(2, 3)}, ["y"])
    assert [(layer.name, layer.attention) for layer in graph.layers] == [("1", AttentionType.GATED)]
    assert graph.maps is not None
    _, gate = session_of(graph.maps).run(None, {"x": np.ones((5, 3), np.float32)})
    assert gate.shape == (5, 3)


def test_a_metric_of_the_table_is_on_the_page_that_prometheus_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "fovea_naps_total", Metric("counter", "Naps that the server took."))
    assert ("fovea_naps_total", frozenset()) in samples(Telemetry().text().decode())


def test_a_recipe_of_the_catalogue_is_offered_by_the_export(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(EVERY, "fashion-new", EVERY["fashion-cbam"])
    assert main(["export", "no-such-recipe"]) == 1
    assert "fashion-new" in capsys.readouterr().err


def test_a_field_of_the_settings_is_a_flag_a_variable_and_a_line_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Field(3, ge=0, description="How often to yawn. More is ruder.")
    longer = create_model("Longer", __base__=Settings, most_yawns=(int, patience))
    page = settings_page()
    monkeypatch.setattr(flags, "Settings", longer)
    monkeypatch.setattr(page, "Settings", longer)
    parser = argparse.ArgumentParser()
    flags.add_settings(parser)
    assert "How often to yawn. More is ruder. [default: 3; FOVEA_MOST_YAWNS]" in " ".join(parser.format_help().split())
    monkeypatch.setenv("FOVEA_MOST_YAWNS", "5")
    assert flags.settings_of(parser.parse_args([])).model_dump()["most_yawns"] == 5
    assert flags.settings_of(parser.parse_args(["--most-yawns=7"])).model_dump()["most_yawns"] == 7
    assert "| `--most-yawns` | `FOVEA_MOST_YAWNS` | `3` | How often to yawn. More is ruder. |" in page.settings_table()


def settings_page() -> ModuleType:
    """docs/settings_page.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("settings_page", ROOT / "docs" / "settings_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
