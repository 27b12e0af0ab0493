"""What servers may leave out, over gRPC: from statistics and the index to classes and shared memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from fovea.client.conformance.case import Case
from fovea.client.conformance.expectations import INVALID, NOT_FOUND, ok, refused
from fovea.client.conformance.grpc_server_cases import ABSENT, ABSENT_VERSION
from fovea.client.conformance.site import Site, cannot_ask
from fovea.client.conformance.site import over_grpc as case
from fovea.client.conformance.subjects import infer_fields
from fovea.client.conformance.tensors import outputs_of
from fovea.contract.datatypes import DATATYPES

REGION = "fovea-conformance-no-such-region"
_REGION = {"name": REGION, "byte_size": 64}


def grpc_extension_cases(site: Site) -> Iterator[Case]:
    """Everything that is an extension, and gRPC's."""
    yield from _configuration(site)
    yield from _statistics(site)
    yield from _index(site)
    yield from _classes(site)
    yield from _parameters(site)
    yield from _shared_memory(site)
    yield from _settings(site)


def _configuration(site: Site) -> Iterator[Case]:
    call, main, extension = site.grpc.call, site.main, "model_configuration"
    for words, check in (
        ("its name", lambda told: told.config.name == main.name),
        ("the metadata's inputs", lambda told: {one.name for one in told.config.input} == {t.name for t in main.told}),
        ("the metadata's outputs", lambda told: {t.name for t in main.outputs} <= {t.name for t in told.config.output}),
        ("datatypes", lambda told: all(one.data_type for one in (*told.config.input, *told.config.output))),
        ("a batch size that is not negative", lambda told: told.config.max_batch_size >= 0),
    ):
        yield case(
            f"a configuration has {words}",
            f"ModelConfig, {main.name}",
            ok(words, check),
            lambda: call("ModelConfig", name=main.name),
            extension,
        )
    absent = f"ModelConfig, {ABSENT}"
    yield case(
        "none of an unknown model", absent, refused(NOT_FOUND), lambda: call("ModelConfig", name=ABSENT), extension
    )


def _statistics(site: Site) -> Iterator[Case]:
    call, main, extension = site.grpc.call, site.main, "statistics"
    about = f"ModelStatistics, {main.name}"

    def of_main() -> Any:
        return call("ModelStatistics", name=main.name)

    for words, check in (
        ("the model's own", lambda told: {one.name for one in told.model_stats} == {main.name}),
        (
            "counts of rows and of batches",
            lambda told: all(one.inference_count and one.execution_count for one in told.model_stats),
        ),
        (
            "successes with their time",
            lambda t: all(s.inference_stats.success.ns or not s.inference_count for s in t.model_stats),
        ),
        ("what batches took", lambda told: all(s.batch_stats or not s.execution_count for s in told.model_stats)),
    ):
        yield case(f"statistics of a model: {words}", about, ok(words, check), of_main, extension)
    every = ok("the model among all", lambda told: main.name in {one.name for one in told.model_stats})
    yield case("statistics of all models", "ModelStatistics", every, lambda: call("ModelStatistics"), extension)
    for words, fields in (("model", {"name": ABSENT}), ("version", {"name": main.name, "version": ABSENT_VERSION})):
        yield case(
            f"no statistics of an unknown {words}",
            f"ModelStatistics, {fields}",
            refused(NOT_FOUND, INVALID),
            partial(call, "ModelStatistics", **fields),
            extension,
        )


def _index(site: Site) -> Iterator[Case]:
    call, main, extension = site.grpc.call, site.main, "model_repository"
    states = {"READY", "UNAVAILABLE", "LOADING", "UNLOADING", "UNKNOWN", ""}
    for words, check, fields in (
        ("has the model, ready", lambda told: (main.name, "READY") in {(m.name, m.state) for m in told.models}, {}),
        ("has the states of the protocol", lambda told: {one.state for one in told.models} <= states, {}),
        ("of what is ready has nothing else", lambda t: {m.state for m in t.models} == {"READY"}, {"ready": True}),
    ):
        yield case(
            f"the index {words}",
            f"RepositoryIndex {fields or ''}".strip(),
            ok(words, check),
            partial(call, "RepositoryIndex", **fields),
            extension,
        )


def _classes(site: Site) -> Iterator[Case]:
    main, extension = site.main, "classification"
    output = next((one for one in main.outputs if DATATYPES.get(one.datatype, DATATYPES["BYTES"]).is_number), None)
    if output is None:
        yield cannot_ask("gRPC", "classes", "a model whose outputs are numbers")
        return

    def ask(**value: Any) -> Any:
        wanted = [{"name": output.name, "parameters": {"classification": value}}]
        return site.grpc.call("ModelInfer", **infer_fields(main, outputs=wanted))

    def best(told: Any) -> bool:
        (texts,) = outputs_of(told).values()
        score, index, *_ = texts.ravel()[0].split(b":")
        return told.outputs[0].datatype == "BYTES" and float(score) == float(score) and int(index) >= 0

    about = f"ModelInfer, {main.name}, classification"
    yield case("the best class", f"{about} of 1", ok('"score:index…"', best), lambda: ask(int64_param=1), extension)
    yield case(
        "more classes than there are",
        f"{about} of 10000",
        ok("all of them", best),
        lambda: ask(int64_param=10_000),
        extension,
    )
    for words, value in (("0", {"int64_param": 0}), ("a text", {"string_param": "3"})):
        yield case(
            f"no classes of {words}",
            f"{about} of {words}",
            refused(INVALID),
            partial(ask, **value),
            extension,
        )


def _parameters(site: Site) -> Iterator[Case]:
    main = site.main
    for name, extension, parameters in (
        ("a reserved parameter refused", "parameters", {"triton_of_my_own": {"int64_param": 1}}),
        ("a timeout that is a text refused", "schedule_policy", {"timeout": {"string_param": "soon"}}),
        ("a priority that is a truth value refused", "schedule_policy", {"priority": {"bool_param": True}}),
    ):
        ask = partial(site.grpc.call, "ModelInfer", **infer_fields(main, parameters=parameters))
        yield case(name, f"ModelInfer, {main.name}, {parameters}", refused(INVALID), ask, extension)


def _shared_memory(site: Site) -> Iterator[Case]:
    """What registers a region is asked first: where there is none, a status is often answered all the same."""
    call = site.grpc.call
    keys: dict[str, dict[str, Any]] = {"System": {"key": f"/{REGION}"}, "Cuda": {"raw_handle": bytes(64)}}
    for kind, key in keys.items():
        rpc, extension = f"{kind}SharedMemory", f"{kind.lower()}_shared_memory"
        for words, method, expected, fields in (
            ("no region of what is not there", "Register", refused(NOT_FOUND, INVALID, "INTERNAL"), {**_REGION, **key}),
            ("the regions are listed", "Status", ok("regions", lambda told: told is not None), {}),
            ("nothing is told of an unknown region", "Status", refused(NOT_FOUND, INVALID), {"name": REGION}),
        ):
            ask = partial(call, f"{rpc}{method}", **fields)
            yield case(f"{kind}: {words}", f"{rpc}{method}", expected, ask, extension)


def _settings(site: Site) -> Iterator[Case]:
    for rpc, extension in (("TraceSetting", "trace"), ("LogSettings", "logging")):
        told = ok("settings", lambda told: len(told.settings) > 0)
        yield case(f"{extension} has settings", rpc, told, partial(site.grpc.call, rpc), extension)
