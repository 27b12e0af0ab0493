"""The batching engine of a version that was loaded: its policy, and the sessions that its workers take."""

from __future__ import annotations

from dataclasses import replace

from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.model_toml import ServingChoices
from fovea.runtime.steady_cost import has_steady_cost
from fovea.serving.engines.batching.batcher import BatchPolicy
from fovea.serving.engines.batching.lone_runs import is_brief
from fovea.serving.engines.batching.measured_cost import MeasuredCost
from fovea.serving.engines.batching.pipeline import Pipeline
from fovea.serving.engines.batching.worker import SessionSource
from fovea.serving.engines.engine import Engine
from fovea.serving.engines.observer import Observer
from fovea.serving.engines.queue_limit import QueueLimit


def start_batching(
    loaded: LoadedVersion, choices: ServingChoices, delay_s: float, limit: QueueLimit, observer: Observer
) -> Engine:
    """Open what sessions it needs besides the first, and start its workers. `delay_s` holds where nobody chooses."""
    steady = is_brief(loaded.cost) and has_steady_cost(loaded.model)
    measured = MeasuredCost(loaded.cost, loaded.warm_shapes, steady=steady)
    policy = batch_policy(loaded, choices, delay_s, measured)
    sessions = [loaded.session, *(loaded.open_instance() for _ in range(choices.instances - 1))]
    source = SessionSource(sessions.pop, loaded.open_maps, choices.instances, sessions.clear)
    return Pipeline(source, policy, observer, limit=limit, measured=measured)


def batch_policy(loaded: LoadedVersion, choices: ServingChoices, delay_s: float, measured: MeasuredCost) -> BatchPolicy:
    """As model.toml says, else as was measured."""
    chosen_rows = choices.batch_rows or max(choices.preferred_batch_rows, default=0)
    most = min(chosen_rows or loaded.max_batch_rows, loaded.max_batch_rows)
    chosen_s = choices.max_queue_delay_s
    delay_s = min(delay_s, measured.cost.worthwhile_delay_s()) if chosen_s is None else chosen_s
    policy = BatchPolicy(
        most,
        delay_s,
        preferred_rows=choices.preferred_batch_rows,
        max_elements=choices.max_batch_elements,
        cost=measured.seconds,
    )
    return policy if chosen_rows else replace(policy, worthwhile_rows=measured.worthwhile_rows)
