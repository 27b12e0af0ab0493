"""Every alert, provoked on a real server before a real Prometheus: it fires in time, and goes silent again.

An hour of the rules is a minute here, and a minute a second; so is whatever is longer than an hour.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.prometheus_servers import RULES, RunningPrometheus, program, running_prometheus
from tests.torture.alert_times import Times, alerts_of, times_of
from tests.torture.effort import Run
from tests.torture.provocations import ABSENCE, LOAD, STANDSTILL, STATES, Provocation, Target, running_target
from tests.torture.report import Promise, Report, at_most, none_of

from fovea.contract.errors import Misconfigured

_EVALUATION_S, _SCRAPE_S = 1.0, 0.5
_UP = 'min_over_time(up{job="fovea"}[3s]) == 1 and count_over_time(up{job="fovea"}[3s]) > 4'
_PERIODS = 2
_PATIENCE_S, _LOOK_S = 120.0, 0.2
_SECONDS = {"m": 1, "h": 60, "d": 1440}
"""What a minute, an hour and a day of the rules are here."""
_LONGEST_S = 60


def run(given: Run) -> Report:
    """Bad states first, then load, then a server that stands still, then none; a short run is without the load."""
    if lacking := _lacking():
        return Report("alerts", {}, (Promise("alerts fire and go silent again", f"not tried: {lacking}", None),))
    groups = [STATES, *([LOAD] if given.effort.every_alert else []), STANDSTILL, ABSENCE]
    folder = given.scratch / "prometheus"
    folder.mkdir()
    with running_target(given.scratch, folder) as target:
        metrics = target.server.metrics.replace("http:", "https:")
        with running_prometheus(folder, metrics, _shortened(folder), _SCRAPE_S, _EVALUATION_S) as prometheus:
            return _tried(groups, target, prometheus, judged=given.effort.judged_by_time)


def _lacking() -> str:
    """What this machine has not; empty where it has all."""
    missing = [f"there is no {name}" for name in ("openssl", "g++") if shutil.which(name) is None]
    try:
        program("prometheus")
    except Misconfigured as error:
        missing.append(str(error))
    return "; ".join(missing)


def _shortened(folder: Path) -> Path:
    """The rules, with all their times made shorter."""
    shortened = folder / "rules"
    shortened.mkdir()
    for path in RULES.glob("*.yml"):
        text = re.sub(r"(\[|for: |interval: )(\d+)([mhd])", _shorter, path.read_text())
        (shortened / path.name).write_text(text)
    return shortened


def _shorter(found: re.Match[str]) -> str:
    return f"{found[1]}{min(int(found[2]) * _SECONDS[found[3]], _LONGEST_S)}s"


def _tried(
    groups: list[dict[Provocation, tuple[str, ...]]], target: Target, prometheus: RunningPrometheus, *, judged: bool
) -> Report:
    _wait(lambda: bool(prometheus.query(_UP)) and not prometheus.firing())  # its first scrapes may come too late
    begun_s, early = time.time(), prometheus.firing()
    for group in groups:
        _provoke(group, target, prometheus)
    _wait(lambda: not prometheus.firing())
    still = prometheus.firing()
    wanted = {name for group in groups for names in group.values() for name in names}
    times = {one.name: times_of(prometheus, one, begun_s) for one in alerts_of(prometheus) if one.name in wanted}
    fired = {name: found for name, found in times.items() if found is not None}
    return Report(
        "alerts",
        {"alerts provoked": len(wanted), "evaluated every, s": _EVALUATION_S},
        (
            none_of("no alert fires before it is provoked", sorted(early)),
            none_of("each alert that is provoked fires", sorted(wanted - fired.keys())),
            none_of("each alert goes silent again", sorted(still)),
            *_in_time(fired, judged=judged),
        ),
    )


def _provoke(group: Mapping[Provocation, tuple[str, ...]], target: Target, prometheus: RunningPrometheus) -> None:
    """All of a group at once, until each of its alerts has fired and a little longer, or for long enough."""
    wanted = {name for names in group.values() for name in names}
    with ExitStack() as held:
        for provocation in group:
            held.enter_context(provocation(target))
        seen: set[str] = set()

        def all_seen() -> bool:
            seen.update(prometheus.firing())
            return wanted <= seen

        _wait(all_seen)
        time.sleep(_PERIODS * _EVALUATION_S)


def _in_time(fired: Mapping[str, Times], *, judged: bool) -> list[Promise]:
    """The slowest alert each way; none where none fired."""
    if not fired:
        return []
    latest = max(fired, key=lambda name: fired[name].late_s)
    longest = max(fired, key=lambda name: fired[name].lingered_s)
    limit_s = _PERIODS * _EVALUATION_S
    fires, ends = fired[latest].late_s, fired[longest].lingered_s
    return [
        at_most(f"an alert fires within two evaluations; the latest, {latest}", fires, limit_s, "s", judged),
        at_most(f"it is silent within two evaluations; the longest, {longest}", ends, limit_s, "s", judged),
    ]


def _wait(is_so: Callable[[], bool]) -> None:
    until_s = time.monotonic() + _PATIENCE_S
    while not is_so() and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
