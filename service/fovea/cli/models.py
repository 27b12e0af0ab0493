"""`fovea models`: what is in a repository on disk, or what a server has."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fovea.client import Client, ModelState
from fovea.contract.errors import FoveaError, ModelBroken, NotFound
from fovea.contract.model_card import CARD_FILE, MODEL_FILE, ModelCard

COLUMNS = ("model", "version", "attention", "parameters", "accuracy", "state")


@dataclass(frozen=True)
class Row:
    """One version, every cell as text; a cell that nobody knows is empty."""

    model: str
    version: str
    attention: str = ""
    parameters: str = ""
    accuracy: str = ""
    state: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells in the order of COLUMNS."""
        return (self.model, self.version, self.attention, self.parameters, self.accuracy, self.state)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From the disk or from a server."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--repository", type=Path, default=Path("exported_models"), help="default: %(default)s")
    where.add_argument("--server", metavar="ADDRESS", help="ask a running server, e.g. 127.0.0.1:8001")


def run(arguments: argparse.Namespace) -> int:
    """Print the table; one line per version."""
    rows = _rows_of_server(arguments.server) if arguments.server else rows_on_disk(arguments.repository)
    Console(soft_wrap=True).print(_table(rows))
    return 0


def rows_on_disk(repository: Path) -> list[Row]:
    """A row per version folder, from its card; NotFound where there is no such folder."""
    if not repository.is_dir():
        raise NotFound(f"there is no folder {repository}")
    models = sorted(folder for folder in repository.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    versions = [folder for model in models for folder in model.iterdir() if _is_version(folder)]
    return [_row_of_folder(folder) for folder in sorted(versions, key=lambda at: (at.parent.name, int(at.name)))]


def _is_version(folder: Path) -> bool:
    return folder.is_dir() and folder.name.isascii() and folder.name.isdigit() and not folder.name.startswith("0")


def _row_of_folder(folder: Path) -> Row:
    model, version = folder.parent.name, folder.name
    try:
        _check_file(folder / MODEL_FILE)
        if not (folder / CARD_FILE).exists():
            return Row(model, version, "none", state="on disk (no card)")
        return _row_of_card(model, version, _checked_card(folder))
    except ModelBroken as error:
        return Row(model, version, state=f"broken: {error}")


def _row_of_card(model: str, version: str, card: ModelCard) -> Row:
    accuracy = str(card.metrics["accuracy"]) if "accuracy" in card.metrics else ""
    types = ", ".join(card.attention_types)
    return Row(model, version, types, _grouped(str(card.parameters)), _percent(accuracy), "on disk")


def _checked_card(folder: Path) -> ModelCard:
    card = ModelCard.read(folder / CARD_FILE)
    for name, sha256 in card.sha256.items():
        _check_file(folder / name)
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != sha256:
            raise ModelBroken(f"{name} is not the file that the card describes")
    return card


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ModelBroken(f"{path.name} is missing")


def _rows_of_server(address: str) -> list[Row]:
    with Client(address, timeout_s=10.0) as client:
        return [_row_of_state(client, state) for state in client.models()]


def _row_of_state(client: Client, entry: ModelState) -> Row:
    state = f"{entry.state.lower()}: {entry.reason}" if entry.reason else entry.state.lower()
    try:
        properties = client.metadata(entry.name, entry.version).properties
    except FoveaError:  # not ready: the index has said why
        return Row(entry.name, entry.version, state=state)
    types = properties.get("attention_types", "").replace(",", ", ").replace("  ", " ")
    parameters, accuracy = properties.get("parameters", ""), properties.get("accuracy", "")
    return Row(entry.name, entry.version, types, _grouped(parameters), _percent(accuracy), state)


def _grouped(number: str) -> str:
    return f"{int(number):,}" if number.isdigit() else number


def _percent(accuracy: str) -> str:
    return f"{float(accuracy):.2%}".replace("%", " %") if accuracy else ""


def _table(rows: Iterable[Row]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in ("parameters", "accuracy") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.cells))
    return table
