"""What a server says of itself and its models over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fovea.client.conformance.case import Case, Expected
from fovea.client.conformance.expectations import INVALID, NOT_FOUND, UNIMPLEMENTED, ok, refused
from fovea.client.conformance.site import Site
from fovea.client.conformance.site import over_grpc as case
from fovea.contract.datatypes import DATATYPES

ABSENT = "fovea-conformance-no-such-model"
ABSENT_VERSION = "999999937"
_DATATYPES = {*DATATYPES, "BF16"}


def grpc_server_cases(site: Site) -> Iterator[Case]:
    """Health, metadata, and who is asked about that is not there."""
    yield from _health(site)
    yield from _metadata(site)
    yield from _absent(site)


def _health(site: Site) -> Iterator[Case]:
    call, name, version = site.grpc.call, site.main.name, site.main.version
    live, ready = ok("live is true", lambda told: told.live), ok("ready is true", lambda told: told.ready)
    yield case("the server is live", "ServerLive", live, lambda: call("ServerLive"))
    yield case("the server is ready", "ServerReady", ready, lambda: call("ServerReady"))
    yield case("the model is ready", f"ModelReady, {name}", ready, lambda: call("ModelReady", name=name))
    if version:
        about = f"ModelReady, {name} {version}"
        yield case("the version is ready", about, ready, lambda: call("ModelReady", name=name, version=version))
    yield case(
        "an unknown model is not ready", f"ModelReady, {ABSENT}", _not_ready(), lambda: call("ModelReady", name=ABSENT)
    )
    yield case(
        "an unknown version is not ready",
        f"ModelReady, {name} {ABSENT_VERSION}",
        _not_ready(),
        lambda: call("ModelReady", name=name, version=ABSENT_VERSION),
    )


def _not_ready() -> Expected:
    return Expected(
        "OK with ready false, or NOT_FOUND",
        lambda came: came.status == NOT_FOUND or (came.status == "OK" and not came.value.ready),
        refusal=True,
    )


def _metadata(site: Site) -> Iterator[Case]:
    call, main = site.grpc.call, site.main
    yield case(
        "the server has a name", "ServerMetadata", ok("a name", lambda told: told.name), lambda: call("ServerMetadata")
    )
    yield case(
        "the server lists no extension twice",
        "ServerMetadata",
        ok("extensions, each once", lambda told: len(told.extensions) == len(set(told.extensions))),
        lambda: call("ServerMetadata"),
    )
    for words, check in (
        ("its own name", lambda told: told.name == main.name),
        ("its platform", lambda told: told.platform),
        ("inputs with names", lambda told: told.inputs and all(tensor.name for tensor in told.inputs)),
        ("outputs with names", lambda told: told.outputs and all(tensor.name for tensor in told.outputs)),
        ("the protocol's datatypes", lambda told: {t.datatype for t in (*told.inputs, *told.outputs)} <= _DATATYPES),
        ("sizes from -1 on", lambda told: all(n >= -1 for t in (*told.inputs, *told.outputs) for n in t.shape)),
    ):
        yield case(
            f"a model's metadata have {words}",
            f"ModelMetadata, {main.name}",
            ok(words, check),
            lambda: call("ModelMetadata", name=main.name),
        )
    if main.version:
        yield case(
            "metadata of a version are the model's",
            f"ModelMetadata, {main.name} {main.version}",
            ok("its name and version", lambda told: told.name == main.name and main.version in told.versions),
            lambda: call("ModelMetadata", name=main.name, version=main.version),
        )


def _absent(site: Site) -> Iterator[Case]:
    call, main = site.grpc.call, site.main
    for words, fields, codes in (
        ("an unknown model", {"name": ABSENT}, (NOT_FOUND,)),
        ("an unknown version", {"name": main.name, "version": ABSENT_VERSION}, (NOT_FOUND, UNIMPLEMENTED)),
        ("a version that is no number", {"name": main.name, "version": "one"}, (INVALID, NOT_FOUND, UNIMPLEMENTED)),
        ("a model without a name", {"name": ""}, (INVALID, NOT_FOUND)),
    ):
        yield case(
            f"metadata of {words} are refused",
            f"ModelMetadata, {fields}",
            refused(*codes),
            partial(call, "ModelMetadata", **fields),
        )
