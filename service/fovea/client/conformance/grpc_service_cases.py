"""Services beside the protocol's own: gRPC's health and reflection."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from fovea import wire
from fovea.client.conformance.case import Case
from fovea.client.conformance.expectations import NOT_FOUND, ok, refused
from fovea.client.conformance.grpc_server_cases import ABSENT
from fovea.client.conformance.site import Site
from fovea.client.conformance.site import over_grpc as case

HEALTH, REFLECTION = "/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def grpc_service_cases(site: Site) -> Iterator[Case]:
    """Health is checked and watched, reflection describes the service."""
    yield from _health(site)
    yield from _reflection(site)


def _health(site: Site) -> Iterator[Case]:
    answer, extension = health_pb2.HealthCheckResponse, "grpc_health"
    serving = ok("SERVING", lambda told: told.status == answer.SERVING)

    def data(service: str) -> bytes:
        return bytes(health_pb2.HealthCheckRequest(service=service).SerializeToString())

    def check(service: str) -> Any:
        return site.grpc.send_to(f"{HEALTH}Check", data(service), answer)

    yield case("health of the server", "Health.Check", serving, lambda: check(""), extension)
    yield case(
        "health of the service", f"Health.Check, {wire.SERVICE}", serving, lambda: check(wire.SERVICE), extension
    )
    yield case("health of nobody", f"Health.Check, {ABSENT}", refused(NOT_FOUND), lambda: check(ABSENT), extension)
    watch = partial(site.grpc.watch, f"{HEALTH}Watch", data(""), answer)
    yield case("health is watched", "Health.Watch", serving, watch, extension)


def _reflection(site: Site) -> Iterator[Case]:
    answer, extension = reflection_pb2.ServerReflectionResponse, "reflection"
    for words, fields, check in (
        (
            "lists the service",
            {"list_services": ""},
            lambda told: wire.SERVICE in {one.name for one in told[0].list_services_response.service},
        ),
        (
            "has the service's file",
            {"file_containing_symbol": wire.SERVICE},
            lambda told: bool(told[0].file_descriptor_response.file_descriptor_proto),
        ),
    ):
        data = reflection_pb2.ServerReflectionRequest(**fields).SerializeToString()
        yield case(
            f"reflection {words}",
            f"ServerReflection, {fields}",
            ok(words, check),
            partial(site.grpc.converse, REFLECTION, data, answer),
            extension,
        )
