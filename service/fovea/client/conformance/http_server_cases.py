"""What a server says of itself and its models over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fovea.client.conformance.case import Case, Expected
from fovea.client.conformance.expectations import http_error_text, http_ok, http_refused
from fovea.client.conformance.grpc_server_cases import ABSENT, ABSENT_VERSION
from fovea.client.conformance.http_requests import model_path
from fovea.client.conformance.site import Site
from fovea.client.conformance.site import over_http as case


def http_server_cases(site: Site) -> Iterator[Case]:
    """Health, metadata, and paths that are not there."""
    yield from _health(site)
    yield from _metadata(site)
    yield from _absent(site)
    yield from _extensions(site)


def _health(site: Site) -> Iterator[Case]:
    main = site.main
    for name, path in (
        ("the server is live", "/v2/health/live"),
        ("the server is ready", "/v2/health/ready"),
        ("the model is ready", f"{model_path(main.name)}/ready"),
        ("the version is ready", f"{model_path(main.name, main.version)}/ready"),
    ):
        yield case(name, f"GET {path}", http_ok("whatever body"), partial(site.http.get, path))


def _metadata(site: Site) -> Iterator[Case]:
    main = site.main
    inputs = {(one.name, one.datatype, tuple(one.shape)) for one in main.told}
    for name, path, words, check in (
        ("the server has a name", "/v2", "a name", lambda told: told.json["name"]),
        ("the server lists extensions", "/v2", "a list", lambda told: isinstance(told.json["extensions"], list)),
        ("metadata are JSON", "/v2", "application/json", lambda told: "json" in told.headers["content-type"]),
        ("a model's metadata have its name", model_path(main.name), "its name", lambda t: t.json["name"] == main.name),
        (
            "a model's metadata have its inputs as over gRPC",
            model_path(main.name),
            "the same names, datatypes and shapes",
            lambda told: {(t["name"], t["datatype"], tuple(t["shape"])) for t in told.json["inputs"]} == inputs,
        ),
        (
            "a model's metadata have its outputs as over gRPC",
            model_path(main.name),
            "the same names",
            lambda told: {one["name"] for one in told.json["outputs"]} == {one.name for one in main.outputs},
        ),
        (
            "metadata of a version are the model's",
            model_path(main.name, main.version),
            "its name",
            lambda told: told.json["name"] == main.name,
        ),
    ):
        yield case(name, f"GET {path}", http_ok(words, check), partial(site.http.get, path))


def _absent(site: Site) -> Iterator[Case]:
    name = site.main.name
    for words, path in (
        ("an unknown model", model_path(ABSENT)),
        ("an unknown version", model_path(name, ABSENT_VERSION)),
        ("a version that is no number", model_path(name, "one")),
    ):
        yield case(f"metadata of {words} refused", f"GET {path}", http_refused(), partial(site.http.get, path))
        ready = f"{path}/ready"
        not_ready = Expected("an error", lambda came: came.status[0] in "45", refusal=True)
        yield case(f"{words} is not ready", f"GET {ready}", not_ready, partial(site.http.get, ready))
    unknown = model_path(ABSENT)
    words = "the error of an unknown model has a text"
    yield case(words, f"GET {unknown}", http_error_text(), partial(site.http.get, unknown))
    for words, method, path in (
        ("another path", "GET", "/v2/no/such/path"),
        ("another version of the protocol", "GET", "/v99/health/live"),
        ("a question for inference", "GET", f"{model_path(name)}/infer"),
        ("a path that leaves its folder", "GET", "/v2/models/..%2f..%2fetc%2fpasswd"),
        ("an unknown method", "BREW", "/v2"),
        ("a change of health", "POST", "/v2/health/live"),
    ):
        yield case(
            f"{words} refused",
            f"{method} {path}",
            http_refused(),
            partial(site.http.ask, method, path, b"" if method == "POST" else None),
        )


def _extensions(site: Site) -> Iterator[Case]:
    main = site.main
    path = model_path(main.name)
    for name, method, where, words, check, extension in (
        (
            "a configuration has the model's name",
            "GET",
            f"{path}/config",
            "its name",
            lambda told: told.json["name"] == main.name,
            "model_configuration",
        ),
        (
            "statistics of a model",
            "GET",
            f"{path}/stats",
            "the model's own",
            lambda told: {one["name"] for one in told.json["model_stats"]} == {main.name},
            "statistics",
        ),
        (
            "statistics of all models",
            "GET",
            "/v2/models/stats",
            "the model among them",
            lambda told: main.name in {one["name"] for one in told.json["model_stats"]},
            "statistics",
        ),
        (
            "the index has the model, ready",
            "POST",
            "/v2/repository/index",
            "the model, READY",
            lambda told: (main.name, "READY") in {(one["name"], one["state"]) for one in told.json},
            "model_repository",
        ),
    ):
        yield case(
            name,
            f"{method} {where}",
            http_ok(words, check),
            partial(site.http.ask, method, where, b"" if method == "POST" else None),
            extension,
        )
