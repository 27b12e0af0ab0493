"""Panels as tables have them, and dashboards made of them for Grafana."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import StackingMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    VariableOption,
    VariableRefresh,
)

from fovea.serving.observability.metrics import METRICS
from grafana.queries import metrics_in

_SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
_HEIGHT = 8


@dataclass(frozen=True)
class Panel:
    """One question, and the queries that answer it: legend -> PromQL."""

    title: str
    unit: str
    queries: dict[str, str]
    width: int = 8
    """Of 24."""
    shown: Literal["lines", "stacked", "number"] = "lines"

    @property
    def description(self) -> str:
        """What the metrics that it shows are."""
        return " ".join(METRICS[name].text for name in metrics_in(self.queries.values()))


@dataclass(frozen=True)
class Page:
    """One dashboard: rows of panels by their headings."""

    uid: str
    title: str
    description: str
    rows: dict[str, tuple[Panel, ...]]

    @property
    def panels(self) -> list[Panel]:
        """Those of all rows."""
        return [panel for row in self.rows.values() for panel in row]


def built(page: Page) -> dashboard.Dashboard:
    """The dashboard as Grafana's library has it."""
    made = (
        dashboard.Dashboard(page.title)
        .uid(page.uid)
        .description(page.description)
        .tags(["fovea"])
        .readonly()
        .time("now-1h", "now")
        .refresh("10s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Fovea")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["fovea"])
            .keep_time(True)
            .include_vars(True)
        )
    )
    made.with_variable(dashboard.DatasourceVariable("source").label("Data source").type("prometheus"))
    for label in ("attention", "model"):
        made.with_variable(_variable(label))
    for heading, panels in page.rows.items():
        made.with_row(dashboard.Row(heading))
        for panel in panels:
            made.with_panel(_built(panel))
    return made


def _variable(label: str) -> dashboard.QueryVariable:
    """Every value of a label, of which one, some or all are chosen."""
    return (
        dashboard.QueryVariable(label)
        .label(label.capitalize())
        .datasource(_SOURCE)
        .query(f"label_values(fovea_model_ready, {label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def _built(panel: Panel) -> timeseries.Panel | stat.Panel:
    made = stat.Panel() if panel.shown == "number" else timeseries.Panel()
    made.title(panel.title).description(panel.description).unit(panel.unit).datasource(_SOURCE)
    made.span(panel.width).height(_HEIGHT // 2 if panel.shown == "number" else _HEIGHT)
    if isinstance(made, timeseries.Panel):
        made.min(0).fill_opacity(60 if panel.shown == "stacked" else 5)
        if panel.shown == "stacked":
            made.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for legend, query in panel.queries.items():
        made.with_target(prometheus.Dataquery().expr(query).legend_format(legend))
    return made
