"""Triton's two clients, used alike; and a recipe exported for tests that ask it through both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client

from fovea.export.recipes import export_recipe
from fovea.recipes.recipe import Recipe
from servers import RunningServer

FRONTS = ["gRPC", "HTTP"]


@contextmanager
def triton_front(front: str, server: RunningServer, connections: int = 1) -> Iterator[tuple[Any, Any]]:
    """A client of Triton's, and its module. `connections`: how many requests HTTP has in flight at most."""
    module = grpc_client if front == "gRPC" else http_client
    address = server.grpc if front == "gRPC" else server.http.removeprefix("http://")
    options = {} if front == "gRPC" else {"concurrency": connections}
    with module.InferenceServerClient(address, **options) as client:
        yield client, module


def export_without_cache(cache: Path, repository: Path, *recipes: Recipe[Any]) -> Path:
    """The repository with the recipes, trained anew: in a cache of their own, on one thread.

    So small networks learn ten times as slowly on two threads that wait for each other.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        for recipe in recipes:
            export_recipe(recipe, repository)
    torch.set_num_threads(threads)
    return repository
