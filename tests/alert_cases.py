"""Series for each alert of deploy/prometheus/rules: what it fires for, and what comes near that and is none of it.

A value a minute, in promtool's notation: `0+5x10` rises by 5 ten times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Series = dict[str, str]
Part = tuple[float, int]
"""By how much a counter rises in a minute, and for how many minutes."""
_FORTNIGHT_S = 14 * 86400


@dataclass(frozen=True)
class Case:
    """Series, and how many alerts of a name fire for them at a minute."""

    series: Series
    minute: int
    fire: int = 1


def counter(*parts: Part) -> str:
    """One that rises so."""
    texts, reached = [], 0.0
    for per_minute, minutes in parts:
        texts.append(f"{reached:g}+{per_minute:g}x{minutes - 1}")
        reached += per_minute * minutes
    return " ".join(texts)


def model(name: str = "m", **more: str) -> str:
    """The labels of a version's series."""
    labels = {"model": name, "version": "1", "attention": "simam", "instance": "a", **more}
    return "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def requests(*failing: Part, of: float = 1000, outcome: str = "failed", name: str = "m") -> Series:
    """So many requests a minute, and how many of them have this outcome."""
    fine = [(of - per_minute, minutes) for per_minute, minutes in failing]
    parts = {"ok": fine, outcome: failing, "invalid": [(of, minutes) for _, minutes in failing]}
    return {"fovea_requests_total" + model(name, outcome=ended): counter(*those) for ended, those in parts.items()}


def answers(*slow: Part, of: float = 1000, outcome: str = "ok", name: str = "m") -> Series:
    """So many answers a minute, and how many of them take longer than 0.1 s."""
    bucket, quick = "fovea_request_duration_seconds_bucket", [(of - some, minutes) for some, minutes in slow]
    every = [(of, minutes) for _, minutes in slow]
    parts = {"0.05": [(0.0, minutes) for _, minutes in slow], "0.1": quick, "0.25": every, "+Inf": every}
    return {bucket + model(name, outcome=outcome, le=limit): counter(*those) for limit, those in parts.items()}


Burning = Callable[..., Series]


def burns(of: Burning, budget: float) -> tuple[dict[str, Case], ...]:
    """For the three speeds: beside each limit, and where one of the two windows alone is over it."""

    def some(share: float) -> float:
        """Of a thousand a minute, this many times the budget."""
        return share * budget * 1000

    fast = {
        "above": Case(of((some(15), 80)), 75),
        "below": Case(of((some(14), 80)), 75, 0),
        "for a quarter of an hour only": Case(of((0, 60), (some(35), 20)), 75, 0),
        "no longer": Case(of((some(30), 70), (0, 10)), 75, 0),
        "two models of one type": Case({**of((some(20), 80)), **of((some(20), 80), name="n")}, 75),
        "of few": Case(of((0.45, 80), of=1.5), 75, 0),
        "of some more": Case(of((0.4, 80), of=2), 75),
    }
    slowly = {
        "above": Case(of((some(7), 380)), 375),
        "below": Case(of((some(5), 380)), 375, 0),
        "for two hours only": Case(of((0, 260), (some(15), 120)), 375, 0),
        "no longer": Case(of((some(14), 340), (0, 40)), 375, 0),
        "two models of one type": Case({**of((some(8), 380)), **of((some(8), 380), name="n")}, 375),
        "of few": Case(of((0.03, 380), of=0.25), 375, 0),
        "of some more": Case(of((0.05, 380), of=0.3), 375),
    }
    for_days = {
        "above": Case(of((some(1.2), 380)), 375),
        "below": Case(of((some(0.8), 380)), 375, 0),
        "for seven hours only": Case(of((0, 2400), (some(4), 420)), 2815, 0),
        "no longer": Case(of((some(5), 300), (0, 380)), 675, 0),
        "two models of one type": Case({**of((some(2), 380)), **of((some(2), 380), name="n")}, 375),
        "of few": Case(of((0.03, 380), of=0.25), 375, 0),
        "of some more": Case(of((0.05, 380), of=0.3), 375),
    }
    return fast, slowly, for_days


def outcomes() -> dict[str, Case]:
    """Which of them are failures."""
    are = {"failed": 1, "rejected": 1, "deadline": 1, "cancelled": 0}
    return {f"only {one}": Case(requests((50, 80), outcome=one), 75, fire) for one, fire in are.items()}


def other_answers() -> dict[str, Case]:
    """Whether the slow ones have to be answers."""
    return {"only failed": Case(answers((500, 80), outcome="failed"), 75, 0)}


def waiting(numbers: str, rejected: str = "0x30", of: str = "m") -> Series:
    """How many wait for a model, and how many requests for one were rejected."""
    return {
        "fovea_waiting_requests" + model(): numbers,
        "fovea_requests_total" + model(of, outcome="rejected"): rejected,
        "fovea_requests_total" + model(outcome="failed"): "0+50x30",
    }


def up(**servers: str) -> Series:
    """Whether each server answers; `stale _x20` while it is no target."""
    return {f'up{{job="fovea",instance="{name}"}}': values for name, values in servers.items()}


def kernels(cause: str) -> Series:
    return {"fovea_model_info" + model(kernels="body", kernels_cause=cause): "1x10"}


def padding(share: float, batches: str = "0+10x60", instance: str = "a") -> Series:
    sums = batches.replace("+10", f"+{share * 10:g}").replace(" 1x", f" {share:g}x")
    labels = model(instance=instance)
    return {"fovea_padding_ratio_sum" + labels: sums, "fovea_padding_ratio_count" + labels: batches}


def certificate(ends_s: int) -> Series:
    return {'fovea_certificate_expiry_timestamp_seconds{file="tls_cert"}': f"{ends_s}x20"}


def lost(numbers: str) -> Series:
    return {"fovea_log_lines_lost_total": numbers}


def ready(numbers: str) -> Series:
    return {"fovea_model_ready" + model(): numbers}


_FAILURES, _SLOWNESS = burns(requests, 0.001), burns(answers, 0.01)
CASES: dict[str, dict[str, Case]] = {
    "FoveaFailuresBurnFast": _FAILURES[0] | outcomes(),
    "FoveaFailuresBurnSlowly": _FAILURES[1] | outcomes(),
    "FoveaSlownessBurnsFast": _SLOWNESS[0] | other_answers(),
    "FoveaSlownessBurnsSlowly": _SLOWNESS[1] | other_answers(),
    "FoveaFailuresBurnForDays": _FAILURES[2] | outcomes(),
    "FoveaSlownessBurnsForDays": _SLOWNESS[2] | other_answers(),
    "FoveaDown": {
        "down": Case(up(a="1x5 0x20"), 10),
        "for one scrape": Case(up(a="1x9 0 1x10"), 10, 0),
        "another job": Case({'up{job="x"}': "0x20"}, 10, 0),
        "one of two is gone": Case(up(a="1x20", b="1x9 stale _x20"), 15),
        "the only one is gone": Case(up(a="1x9 stale _x20"), 15),
        "two of three are gone": Case(up(a="1x20", b="1x9 stale _x20", c="1x9 stale _x20"), 15, 2),
        "gone long ago": Case(up(a="1x60", b="1x9 stale _x50"), 40, 0),
        "has moved": Case(up(a="1x9 stale _x20", b="_x9 1x20"), 15, 0),
        "moves while both are there": Case(up(a="1x20", b="1x10 stale _x20", c="_x8 1x20"), 15, 0),
    },
    "FoveaNoServer": {
        "none": Case({'up{job="x"}': "1x20"}, 10),
        "none for a moment": Case(up(a="1x9 stale 1x10"), 10, 0),
        "one that is down": Case(up(a="0x20"), 10, 0),
    },
    "FoveaModelNotReady": {
        "not ready": Case(ready("1x3 0x20"), 10),
        "for three minutes": Case(ready("1x6 0x20"), 10, 0),
        "ready": Case(ready("1x20"), 10, 0),
    },
    "FoveaQueueGrows": {
        "grows": Case(waiting("0+20x20"), 15),
        "grows quickly enough": Case(waiting("40+7x20"), 15),
        "grows too slowly": Case(waiting("40+5x20"), 15, 0),
        "grew a moment ago": Case(waiting("0x12 100+100x8"), 15, 0),
        "stands": Case(waiting("40x20"), 15, 0),
        "fills in ten seconds and stays full": Case(waiting("0x5 1000x20", "0x5 0+600x20"), 15),
        "just enough wait": Case(waiting("33x20", "0+600x20"), 15),
        "just too few wait": Case(waiting("32x20", "0+600x20"), 15, 0),
        "rejects no more": Case(waiting("40x20", "0+600x8 4800x20"), 15, 0),
        "another's are rejected": Case(waiting("40x20", "0+600x20", of="n"), 15, 0),
    },
    "FoveaKernelsFellBack": {
        **{cause: Case(kernels(cause), 5) for cause in ("crashed", "failed", "unverified")},
        **{cause: Case(kernels(cause), 5, 0) for cause in ("off", "no_library", "no_kernel", "not_needed", "slower")},
    },
    "FoveaPaddingWaste": {
        "more than half": Case(padding(0.55), 40),
        "less than half": Case(padding(0.45), 40, 0),
        "two servers of one model": Case({**padding(0.7), **padding(0.6, instance="b")}, 40),
        "in one batch": Case(padding(0.9, "0x30 1x30"), 40, 0),
        "long ago": Case(padding(0.9, "0+10x5 50x60"), 60, 0),
    },
    "FoveaLogLinesLost": {
        "lost": Case(lost("0x10 7x20"), 15),
        "lost nine minutes ago": Case(lost("0x6 7x20"), 15),
        "lost long ago": Case(lost("0x10 7x40"), 30, 0),
        "none lost": Case(lost("7x20"), 15, 0),
    },
    "FoveaCertificateEndsSoon": {
        "in less than a fortnight": Case(certificate(_FORTNIGHT_S + 290), 5),
        "in a fortnight and a bit": Case(certificate(_FORTNIGHT_S + 310), 5, 0),
    },
}
"""Alert -> its cases."""
