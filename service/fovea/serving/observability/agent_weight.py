"""What a replica tells a balancer that asks how much to send: a weight, from what waits and what batches cost."""

from __future__ import annotations

from collections.abc import Iterable

from fovea.serving.engines.engine import Load

DRAIN = "drain"
"""Nothing new; what is under way is answered."""


def agent_word(ready: bool, loads: Iterable[Load]) -> str:
    """What HAProxy's agent-check understands. `ready` ends an earlier `drain`: to `up` alone HAProxy stays drained."""
    return f"ready up {weight(loads)}%" if ready else DRAIN


def weight(loads: Iterable[Load]) -> int:
    """Percent, 1 to 100, of the requests that an idle replica would get: 100 / (1 + batches ahead).

    `batches ahead` is, over all models, the time until what waits has begun, divided by what a batch of that model
    takes. In seconds one slow model would hide the queues of all the quick ones. A request that finds n batches ahead
    waits n + 1 times as long for the end of its own as one that finds none, so it gets that share; the first batch
    counts most, and a replica that is far behind still gets a trickle, by which it is seen to recover. What runs does
    not count: a replica is meant to be busy. Where costs are not known, nothing is said against it.
    """
    ahead = sum(load.waiting_s / load.batch_s for load in loads if load.batch_s)
    return max(1, round(100 / (1 + max(0.0, ahead))))
