"""`fovea models`: what is in a repository on disk, or what a server has."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from rich.table import Table
from rich.text import Text

from fovea.cli.connection_options import PATIENCE_S, add_access, connect
from fovea.cli.setting_flags import setting, variable
from fovea.cli.tables import wide_console
from fovea.client import ONCE, Client, ModelState
from fovea.contract.errors import FoveaError, Misconfigured, ModelBroken
from fovea.contract.model_card import CARD_FILE, ModelCard
from fovea.runtime.attention_seen import attention_seen
from fovea.runtime.files import model_path, require_inside, require_whole
from fovea.runtime.repository import ModelFolder, chosen_versions, has_models, no_model_in, scan, why_none
from fovea.serving.lifecycle.triton_config import read_config

COLUMNS = ("model", "version", "attention", "parameters", "accuracy", "kernels", "state")


@dataclass(frozen=True)
class Row:
    """One version, every cell as text; a cell that nobody knows is empty. `remark` is too long for a cell."""

    model: str
    version: str
    attention: str = ""
    parameters: str = ""
    accuracy: str = ""
    kernels: str = ""
    state: str = ""
    remark: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells in the order of COLUMNS."""
        facts = (self.attention, self.parameters, self.accuracy, self.kernels, self.state)
        return (self.model, self.version, *facts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From the disk or from a server."""
    where = parser.add_mutually_exclusive_group()
    words = f"[default: %(default)s; {variable('repository')}]"
    where.add_argument("--repository", type=Path, default=setting("repository"), help=words)
    where.add_argument("--server", metavar="ADDRESS", help="ask a running server, e.g. 127.0.0.1:8001")
    cost = "what batches cost, by rows and length; without --server each model is loaded and measured"
    parser.add_argument("--cost", action="store_true", help=cost)
    add_access(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table, one line per version, and what there is to say of some of them.

    On disk nothing is loaded: whether a server could, `fovea doctor` tells.
    """
    if arguments.cost:
        from fovea.cli.costs import show_costs

        return show_costs(arguments)
    if arguments.server:
        _show(_rows_of_server(arguments))
        return 0
    folders = scan(arguments.repository, read_config)
    if folders:
        _show([row for folder in folders.values() for row in _rows_of_folder(folder)])
    require_models(folders, arguments.repository)
    return 0


def require_models(folders: Mapping[str, ModelFolder], repository: Path) -> None:
    """Misconfigured where no folder of the repository has a version."""
    if not has_models(folders):
        raise Misconfigured(no_model_in(repository))


def _show(rows: Sequence[Row]) -> None:
    console = wide_console()
    console.print(_table(rows))
    for row in rows:
        if row.remark:
            console.print(Text(f"{row.model} {row.version}".rstrip() + f": {row.remark}"))


def _rows_of_folder(model: ModelFolder) -> list[Row]:
    if model.problem is None and chosen_versions(model):
        others = [_not_served(model, version, reason) for version, reason in model.passed_over.items()]
        return [*(_row_of_version(model, number) for number in model.versions), *others]
    versions = [*map(str, model.versions), *model.passed_over] or [""]
    return [_not_served(model, version, why_none(model)) for version in versions]


def _not_served(model: ModelFolder, version: str, reason: str) -> Row:
    return Row(model.name, version, state="not served", remark=f"not served: {reason}")


def _row_of_version(model: ModelFolder, number: int) -> Row:
    folder, version = model.version_path(number), str(number)
    try:
        require_inside(folder, model.configured.file)
        if not (folder / CARD_FILE).exists():
            return _row_of_file(model.name, version, model_path(folder, model.configured.file))
        card = ModelCard.read(folder / CARD_FILE)
        require_whole(folder, card)
    except ModelBroken as error:
        return Row(model.name, version, state="broken", remark=f"broken: {error}")
    return _row_of_card(model.name, version, card)


def _row_of_file(model: str, version: str, file: Path) -> Row:
    seen = attention_seen(file)
    types = dict.fromkeys([seen.attention, *(layer.attention for layer in seen.attention_layers)])
    remark = f"without a card: {seen.warning(seen.attention)}" if seen.unnamed else "without a card"
    return Row(model, version, ", ".join(types), state="on disk", remark=remark)


def _row_of_card(model: str, version: str, card: ModelCard) -> Row:
    accuracy = str(card.metrics["accuracy"]) if "accuracy" in card.metrics else ""
    types = ", ".join(card.attention_types)
    return Row(model, version, types, _grouped(str(card.parameters)), _percent(accuracy), state="on disk")


def _rows_of_server(arguments: argparse.Namespace) -> list[Row]:
    with connect(arguments.server, arguments, PATIENCE_S, ONCE) as client:
        return [_row_of_state(client, state) for state in client.models()]


def _row_of_state(client: Client, entry: ModelState) -> Row:
    state = entry.state.lower()
    try:
        properties = client.metadata(entry.name, entry.version).properties
    except FoveaError:  # not ready: the index has said why
        return Row(entry.name, entry.version, state=state, remark=f"{state}: {entry.reason}" if entry.reason else "")
    types = properties.get("attention_types", "").replace(",", ", ").replace("  ", " ")
    parameters, accuracy = properties.get("parameters", ""), properties.get("accuracy", "")
    kernels, reason = properties.get("kernels", ""), properties.get("kernels_reason", "")
    remarks = [f"kernels {kernels}: {reason}"] if reason else []
    remark = "; ".join([*remarks, *filter(None, [properties.get("batching", "")])])
    facts = (types, _grouped(parameters), _percent(accuracy), kernels)
    return Row(entry.name, entry.version, *facts, state=state, remark=remark)


def _grouped(number: str) -> str:
    return f"{int(number):,}" if number.isdigit() else number


def _percent(accuracy: str) -> str:
    return f"{float(accuracy):.2%}".replace("%", " %") if accuracy else ""


def _table(rows: Sequence[Row]) -> Table:
    """Without the columns in which no row has anything."""
    known = [any(cells) for cells in zip(*(row.cells for row in rows), strict=True)] or [True] * len(COLUMNS)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in compress(COLUMNS, known):
        table.add_column(column, justify="right" if column in ("parameters", "accuracy") else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in compress(row.cells, known)))
    return table
