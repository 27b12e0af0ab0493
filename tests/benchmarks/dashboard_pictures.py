"""Draws the dashboards (`make dashboard-pictures`): a real server under load, and a real Prometheus that is asked what
Grafana would ask it. The drawing is ours, plainer than Grafana's; the numbers are what was measured.
"""

from __future__ import annotations

import re
import tempfile
import threading
import time
from contextlib import ExitStack
from math import isfinite, pi, sin
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from PIL import Image, ImageDraw, ImageFont
from tests.committed_models import COMMITTED, link_committed_models
from tests.prometheus_servers import RunningPrometheus, running_prometheus
from tests.servers import RunningServer, running_server

from fovea.contract.model_card import CARD_FILE, ModelCard
from grafana.dashboards import PAGES
from grafana.panels import Page, Panel, built

FOLDER = Path(__file__).parents[2] / "docs" / "dashboards"
_LOAD_S, _WINDOW, _STEP_S = 120.0, "15s", 1.0
_COLUMN, _LINE = 56, 26
"""Pixels of a unit of Grafana's grid."""
_MARGIN, _LEFT = 12, 58
_INK, _FAINT, _PAPER, _FRAME = "#24292f", "#6e7781", "#f6f8fa", "#d0d7de"
_COLOURS = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
)
_SCALES = {
    "s": ((1, "s"), (1e-3, "ms"), (1e-6, "us")),
    "percentunit": ((0.01, "%"),),
    "bytes": ((2**20, "MiB"), (2**10, "KiB"), (1, "B")),
}
_FONT = {size: ImageFont.load_default(size) for size in (12, 14, 18, 28)}
Lines = dict[str, list[tuple[float, float]]]


def main() -> None:
    """Load a server for two minutes, then draw every page."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fovea-dashboards-") as folder, ExitStack() as stack:
        repository = Path(folder) / "models"
        repository.mkdir()
        server = stack.enter_context(running_server(link_committed_models(repository), "--attention-sample-s=5"))
        prometheus = stack.enter_context(running_prometheus(Path(folder), server.metrics))
        begun_s = time.time()
        _load(server)
        for page in PAGES:
            _drawn(page, prometheus, begun_s).save(FOLDER / f"{page.uid}.png", optimize=True)


def _load(server: RunningServer) -> None:
    """Every model is asked by a caller of its own, now more, now less."""
    callers = [threading.Thread(target=_ask, args=(server, place, name)) for place, name in enumerate(COMMITTED)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


def _ask(server: RunningServer, place: int, name: str) -> None:
    spec = ModelCard.read(COMMITTED[name] / CARD_FILE).inputs[0]
    until_s = time.monotonic() + _LOAD_S
    with triton.InferenceServerClient(server.grpc) as client:
        while (left_s := until_s - time.monotonic()) > 0:
            row = np.random.default_rng(place).random((1 + place % 4, *spec.shape[1:]), np.float32)
            tensor = triton.InferInput(spec.name, row.shape, "FP32")
            tensor.set_data_from_numpy(row)
            client.infer(name, [tensor])
            time.sleep(0.1 * (1.2 + sin(left_s / _LOAD_S * 2 * pi + place)))


def _drawn(page: Page, prometheus: RunningPrometheus, since_s: float) -> Image.Image:
    places = built(page).build().panels or []
    height = max(at.grid_pos.y + at.grid_pos.h for at in places) * _LINE + 60
    picture = Image.new("RGB", (24 * _COLUMN + 2 * _MARGIN, height), _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN, 10), page.title, _INK, _FONT[28])
    panels = iter(page.panels)
    for place in places:
        at = place.grid_pos
        left, top = _MARGIN + at.x * _COLUMN, 50 + at.y * _LINE
        if place.type_val == "row":
            draw.text((left, top + 4), place.title, _INK, _FONT[18])
        else:
            box = (left + 3, top + 3, left + at.w * _COLUMN - 3, top + at.h * _LINE - 3)
            panel = next(panels)
            _panel(draw, box, panel, _lines(prometheus, panel, since_s))
    return picture


def _lines(prometheus: RunningPrometheus, panel: Panel, since_s: float) -> Lines:
    """Legend -> values over time."""
    found: Lines = {}
    for legend, query in panel.queries.items():
        promql = query.replace("$__rate_interval", _WINDOW).replace("$model", ".*").replace("$attention", ".*")
        asked = {"query": promql, "start": str(since_s), "end": str(time.time()), "step": str(_STEP_S)}
        for series in prometheus.ask("query_range", **asked)["result"]:
            name = legend
            for label, value in series["metric"].items():
                name = name.replace("{{" + label + "}}", value)
            values = [(float(at), float(value)) for at, value in series["values"] if isfinite(float(value))]
            found[re.sub(r" *\{\{\w+\}\}", "", name)] = values  # a label that is empty is not sent
    return {name: values for name, values in found.items() if values}


def _panel(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], panel: Panel, lines: Lines) -> None:
    left, top, right, bottom = box
    draw.rectangle(box, "white", _FRAME)
    draw.text((left + 8, top + 5), panel.title, _INK, _FONT[14])
    if panel.shown == "number":
        latest = next(iter(lines.values()), [(0.0, float("nan"))])[-1][1]
        draw.text((left + 12, top + 38), _worded(latest, panel.unit), _COLOURS[2], _FONT[28])
        return
    if not lines:
        draw.text((left + 12, top + 40), "no data", _FAINT, _FONT[14])
        return
    plot = (left + _LEFT, top + 30, right - 10, bottom - 46)
    _curves(draw, plot, panel, _stacked(lines) if panel.shown == "stacked" else lines)
    _legend(draw, (left + 8, bottom - 36, right - 8), list(lines))


def _stacked(lines: Lines) -> Lines:
    """Each on top of those before."""
    below: dict[float, float] = {}
    stacked: Lines = {}
    for name, values in lines.items():
        for at, value in values:
            below[at] = below.get(at, 0.0) + value
        stacked[name] = [(at, below[at]) for at, _ in values]
    return stacked


def _curves(draw: ImageDraw.ImageDraw, plot: tuple[int, int, int, int], panel: Panel, lines: Lines) -> None:
    left, top, right, bottom = plot
    highest = max(value for values in lines.values() for _, value in values) or 1.0
    moments = [at for values in lines.values() for at, _ in values]
    begin, end = min(moments), max(*moments, min(moments) + 1)
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        draw.line((left, y, right, y), _FRAME)
        draw.text((left - 6, y), _worded(share * highest, panel.unit), _FAINT, _FONT[12], anchor="rm")
    for colour, values in zip(_COLOURS * len(lines), lines.values(), strict=False):
        points: list[Any] = [
            (left + (at - begin) / (end - begin) * (right - left), bottom - value / highest * (bottom - top))
            for at, value in values
        ]
        draw.line(points, colour, 2)


def _legend(draw: ImageDraw.ImageDraw, at: tuple[int, int, int], names: list[str]) -> None:
    x, y, right = at
    for colour, name in zip(_COLOURS * len(names), names, strict=False):
        width = int(draw.textlength(name, _FONT[12])) + 24
        if x + width > right:
            x, y = at[0], y + 15
        if y > at[1] + 15:
            return
        draw.rectangle((x, y + 5, x + 10, y + 9), colour)
        draw.text((x + 14, y), name, _FAINT, _FONT[12])
        x += width


def _worded(value: float, unit: str) -> str:
    """A value in the largest unit that it is one of."""
    if not isfinite(value):
        return "no data"
    scales = _SCALES.get(unit, ((1, ""),))
    size, name = next((one for one in scales if abs(value) >= one[0]), scales[-1] if value else scales[0])
    return f"{value / size:.3g} {name}".rstrip()


if __name__ == "__main__":
    main()
