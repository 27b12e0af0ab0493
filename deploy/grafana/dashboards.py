"""Writes the dashboards that Grafana shows (`make dashboards`)."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.is_it_well import IS_IT_WELL
from grafana.panels import Page, built
from grafana.what_attention_costs import WHAT_ATTENTION_COSTS
from grafana.where_does_time_go import WHERE_DOES_TIME_GO

FOLDER = Path(__file__).with_name("dashboards")
PAGES: tuple[Page, ...] = (IS_IT_WELL, WHERE_DOES_TIME_GO, WHAT_ATTENTION_COSTS)


def texts() -> dict[Path, str]:
    """File -> what belongs into it."""
    return {
        FOLDER / f"{page.uid}.json": json.dumps(built(page).build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"
        for page in PAGES
    }


def main() -> None:
    """Write them all."""
    for path, text in texts().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
