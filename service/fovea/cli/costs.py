"""`fovea models --cost`: what a batch of each model costs, as a server measured it, or as it is measured now."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from fovea.cli.connection_options import PATIENCE_S, connect
from fovea.cli.findings import lengths_of
from fovea.cli.models import require_models
from fovea.cli.setting_flags import settings_of
from fovea.cli.tables import wide_console
from fovea.client import ONCE
from fovea.contract.errors import FoveaError
from fovea.runtime.device import resolve_device
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loading import load_chosen
from fovea.runtime.repository import ModelFolder, chosen_versions, scan
from fovea.serving.lifecycle.triton_config import read_config
from fovea.serving.part_settings import load_settings

Costs = list[dict[str, Any]]
"""As the property `batch_cost` has them; see `fovea.runtime.cost.BatchCost.facts`."""


def show_costs(arguments: argparse.Namespace) -> int:
    """Print the table, and what there is to say of versions that have no costs: status 1 where there are such."""
    known: dict[tuple[str, str], Costs] = {}
    problems = []
    for model, version, costs in _of_server(arguments) if arguments.server else _of_disk(arguments.repository):
        if isinstance(costs, FoveaError):
            problems.append(f"{model} {version}: {costs}")
        else:
            known[model, version] = costs
    console = wide_console()
    console.print(_table(known))
    for problem in problems:
        console.print(Text(problem))
    return 1 if problems else 0


def _of_server(arguments: argparse.Namespace) -> Iterator[tuple[str, str, Costs | FoveaError]]:
    with connect(arguments.server, arguments, PATIENCE_S, ONCE) as client:
        for entry in client.models():
            try:
                yield entry.name, entry.version, client.metadata(entry.name, entry.version).json("batch_cost") or []
            except FoveaError as error:
                yield entry.name, entry.version, error


def _of_disk(repository: Path) -> Iterator[tuple[str, str, Costs | FoveaError]]:
    """Loads every version that a server would serve, as it would: the settings' variables hold here too."""
    settings = settings_of(argparse.Namespace(repository=repository))
    common = load_settings(settings, resolve_device(settings.device))
    folders = scan(repository, read_config)
    require_models(folders, repository)
    for folder in folders.values():
        for version in chosen_versions(folder):
            yield folder.name, str(version), _measured(folder, version, common)


def _measured(folder: ModelFolder, version: int, settings: LoadSettings) -> Costs | FoveaError:
    try:
        return load_chosen(folder, version, settings).cost.facts()
    except FoveaError as error:
        return error


def _table(known: dict[tuple[str, str], Costs]) -> Table:
    """A line per model, version and length: milliseconds by rows."""
    sizes = sorted({int(rows) for costs in known.values() for cost in costs for rows in cost["seconds"]})
    table = Table(
        box=None,
        header_style="bold",
        pad_edge=False,
        title="milliseconds a batch takes, by rows; best: the largest worth making",
        title_justify="left",
    )
    for column in ("model", "version", "length"):
        table.add_column(column)
    for column in (*map(str, sizes), "best"):
        table.add_column(column, justify="right")
    for (model, version), costs in known.items():
        for cost in costs:
            milliseconds = (_milliseconds(cost["seconds"].get(str(rows))) for rows in sizes)
            table.add_row(model, version, lengths_of(cost), *milliseconds, str(cost["worthwhile_rows"]))
    return table


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.3g}"
