"""What `fovea doctor --server` asks a running server: of itself, and of every version that it has."""

from __future__ import annotations

from collections.abc import Iterator

from fovea.cli.findings import Finding, costs
from fovea.client import Client, ModelState, Statistics
from fovea.contract.errors import FoveaError

PROPERTIES = ("attention_types", "kernels", "kernels_reason", "batching", "provider", "sha256")


def remote_checkup(client: Client) -> Iterator[Finding]:
    """Everything that the server tells. A server that does not answer is a FoveaError."""
    about = client.server()
    yield Finding("server", "name", about.name)
    yield Finding("server", "version", about.version)
    yield Finding("server", "extensions", about.extensions)
    serving = client.healthy()
    yield Finding("server", "serving", serving, wrong=not serving)
    statistics = {(one.model, one.version): one for one in client.statistics()}
    for state in client.models():
        yield from _version(client, state, statistics.get((state.name, state.version)))


def _version(client: Client, state: ModelState, done: Statistics | None) -> Iterator[Finding]:
    topic, told = f"{state.name} {state.version}".strip(), state.state.lower()
    ready = state.state == "READY"
    yield Finding(topic, "state", f"{told}: {state.reason}" if state.reason else told, wrong=not ready)
    if ready:
        yield from _properties(client, topic, state)
    if done:
        yield Finding(topic, "rows", done.rows)
        yield Finding(topic, "batches", done.batches)
        yield Finding(topic, "served_batch_ms", {str(rows): seconds * 1e3 for rows, seconds in done.batch_s.items()})


def _properties(client: Client, topic: str, state: ModelState) -> Iterator[Finding]:
    try:
        model = client.metadata(state.name, state.version)
        cost = model.json("batch_cost") or []
    except FoveaError as error:  # for one, unloaded since it was listed
        yield Finding(topic, "properties", str(error), wrong=True)
        return
    for name in PROPERTIES:
        if name in model.properties:
            yield Finding(topic, name, model.properties[name])
    yield from costs(topic, cost)
