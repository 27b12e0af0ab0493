"""Images by themselves: the one for GPUs on a CPU, and KServe's container as KServe starts it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from compose_stack import MODEL, PICTURE, ROOT, eventually, inspected, run
from fovea.client import Client

RUNTIME = yaml.safe_load((ROOT / "deploy/kubernetes/kserve.yml").read_text())["spec"]["containers"][0]


def built(service: str) -> str:
    """The image of a service of docker-compose.yml."""
    profile = "gpu" if service == "fovea-gpu" else "cpu"
    run("docker", "compose", "build", service, environment={"COMPOSE_PROFILES": profile})
    return f"fovea:{profile}"


@contextmanager
def container(image: str, *arguments: str, models: str) -> Iterator[str]:
    """One that is healthy; its gRPC address."""
    guarded = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--user", "10001")
    mounted = ("--volume", f"{ROOT / 'exported_models' / MODEL}:{models}/{MODEL}:ro", "--publish", "127.0.0.1::8001")
    name = run("docker", "run", "--detach", *guarded, *mounted, image, *arguments).strip()
    try:
        assert eventually(lambda: inspected("container", name, "{{.State.Health.Status}}") == "healthy")
        yield run("docker", "port", name, "8001").split()[0]
    finally:
        run("docker", "rm", "--force", "--volumes", name)


def answers(address: str) -> bool:
    with Client(address, timeout_s=30) as client:
        return client.infer(MODEL, {"input": PICTURE}, ["logits"])["logits"].shape == (1, 10)


def test_kserves_container_serves_the_models_that_kserve_mounts() -> None:
    with container(built("fovea"), *RUNTIME["args"], models="/mnt/models") as address:
        assert answers(address)


def test_the_image_for_gpus_serves_on_a_cpu_where_it_is_told_to() -> None:
    arguments = ("serve", "--host=0.0.0.0", "--device=cpu", "--repository=/tmp/models")
    with container(built("fovea-gpu"), *arguments, models="/tmp/models") as address:
        assert answers(address)


def test_an_image_carries_the_exported_models() -> None:
    listed = run("docker", "run", "--rm", "--entrypoint", "ls", built("fovea"), "/models").split()
    assert set(listed) == {path.name for path in (ROOT / "exported_models").iterdir()}
