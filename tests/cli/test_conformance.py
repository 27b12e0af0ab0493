"""`fovea conformance`: what a server that speaks the protocol well, badly, or not at all is said to do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from bad_servers import bad_server, silent_server
from certificates import authority, signed
from fovea import __version__
from servers import RunningServer, plain_models, running_server, save_model, tensor

Fovea = Callable[..., tuple[int, str, str]]
Report = dict[str, Any]
PAGE = (Path(__file__).parents[2] / "docs" / "CONFORMANCE.md").read_text()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def well(request: pytest.FixtureRequest, models: Path) -> Iterator[RunningServer]:
    open_rpcs = "--open-rpcs=shared_memory,trace,logging"
    with running_server(models, f"--{request.param}", "--max-batch-rows=8", "--ready-when=any", open_rpcs) as server:
        yield server


def examined(fovea: Fovea, tmp_path: Path, grpc: str, http: str, *flags: str) -> tuple[int, str, Report]:
    """Exit status, text, and the report's JSON."""
    file = tmp_path / "report.json"
    status, out, err = fovea("conformance", grpc, "--http", http, "--json", str(file), *flags)
    assert err == ""
    return status, out, json.loads(file.read_text())


def names(report: Report, verdict: str) -> set[tuple[str, str]]:
    return {(case["front"], case["name"]) for case in report["cases"] if case["verdict"] == verdict}


def test_fovea_passes_every_case_on_both_lanes(fovea: Fovea, tmp_path: Path, well: RunningServer) -> None:
    status, out, report = examined(fovea, tmp_path, well.grpc, well.http.removeprefix("http://"), "--timeout", "60")
    assert names(report, "failed") == set(), out
    assert (status, report["conforms"]) == (0, True)
    assert names(report, "skipped") == set()
    required = [case for case in report["cases"] if not case["extension"]]
    assert len(names(report, "passed")) >= 120
    assert len({(case["front"], case["name"]) for case in required}) == len(required) >= 120
    assert {one["extension"] for one in report["cases"] if one["verdict"] == "not offered"} == {"cuda_shared_memory"}
    assert all(case[fact] for case in report["cases"] for fact in ("name", "asked", "expected", "came"))


def test_each_case_fails_on_a_server_that_says_yes_to_everything_or_on_one_that_says_no(
    fovea: Fovea, tmp_path: Path
) -> None:
    failed, asked = set(), set()
    for yes in (True, False):
        with bad_server(yes) as (grpc, http):
            status, out, report = examined(fovea, tmp_path, grpc, http, "--model", "m", "--timeout", "2")
        assert (status, report["conforms"]) == (1, False)
        assert out.endswith("not all required cases passed\n")
        failed |= names(report, "failed")
        asked |= names(report, "failed") | names(report, "passed")
    assert len(asked) > 200
    assert asked - failed == set()


def test_a_failed_case_says_what_was_asked_expected_and_got(fovea: Fovea, tmp_path: Path) -> None:
    with bad_server(yes=True) as (grpc, http):
        _, out, _ = examined(fovea, tmp_path, grpc, http, "--model", "m", "--timeout", "2")
    _, asked, expected, came = out[out.index("FAILED  gRPC  a byte too few refused") :].splitlines()[:4]
    assert "ModelInfer, m, a byte too few" in asked
    assert "INVALID_ARGUMENT, and a text" in expected
    assert 'OK: model_name: "m"' in came


def test_a_server_that_says_nothing_has_failed_soon(fovea: Fovea, tmp_path: Path) -> None:
    with silent_server() as silent, bad_server(yes=True) as (grpc, _):
        before_s = time.monotonic()
        status, out, report = examined(fovea, tmp_path, silent, silent, "--timeout", "0.3")
        assert (status, len(report["cases"])) == (1, 1), out
        status, _, report = examined(fovea, tmp_path, grpc, silent, "--timeout", "0.5", "--model", "m")
        assert time.monotonic() - before_s < 60
    assert status == 1
    assert {case["verdict"] for case in report["cases"] if case["front"] == "HTTP"} <= {"failed", "not offered"}


def test_a_model_that_is_not_there_has_failed(fovea: Fovea, tmp_path: Path, well: RunningServer) -> None:
    http = well.http.removeprefix("http://")
    status, out, _ = examined(fovea, tmp_path, well.grpc, http, "--model", "nobody")
    assert status == 1
    assert "nobody" in out


def test_a_report_without_a_folder_is_refused_before_anybody_is_asked(fovea: Fovea) -> None:
    status, out, err = fovea("conformance", "127.0.0.1:1", "--json", "nowhere/report.json")
    assert (status, out) == (1, "")
    assert "there is no folder nowhere" in err


@pytest.mark.parametrize(
    "words", [["unix:/tmp/fovea.sock"], ["h:1", "--http", "http://h:8000"], ["h:1", "--http", "h:99999"]]
)
def test_what_is_no_http_address_is_refused_before_anybody_is_asked(fovea: Fovea, words: list[str]) -> None:
    status, out, err = fovea("conformance", *words)
    assert (status, out) == (1, "")
    assert f"--http, received '{words[-1]}'" in err


def test_a_secured_server_is_asked_over_tls_with_a_token(fovea: Fovea, tmp_path: Path, models: Path) -> None:
    ca = authority(tmp_path)
    own = signed(ca, "localhost", tmp_path)
    token = tmp_path / "token"
    token.write_text("of-forty-characters-or-a-few-more-than-that\n")
    token.chmod(0o600)
    secured = (f"--tls-cert={own.cert}", f"--tls-key={own.key}", f"--token-file={token}")
    with running_server(models, "--max-batch-rows=8", "--ready-when=any", *secured) as server:
        address, http = server.grpc, server.http.removeprefix("http://")
        flags = ("--tls-ca", str(ca.cert), "--tls-name", "localhost", "--timeout", "60")
        status, out, _ = examined(fovea, tmp_path, address, http, *flags, "--token-file", str(token))
        assert status == 0, out
        assert examined(fovea, tmp_path, address, http, *flags)[0] == 1


def test_the_page_says_of_fovea_what_is_so(fovea: Fovea, tmp_path: Path) -> None:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    save_model(tmp_path / "models", "double", [node], [tensor("x", ["n", 4])], [tensor("y", ["n", 4])])
    with running_server(tmp_path / "models") as server:
        http = server.http.removeprefix("http://")
        _, _, report = examined(fovea, tmp_path, server.grpc, http, "--timeout", "60")
    sums = {(one["front"], one["refusal"]): one["passed"] for one in report["summary"] if not one["extension"]}
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| Fovea {__version__} |"))
    told = [cell.strip() for cell in row.split("|")[2:6]]
    asked = [sums[front, refusal] for front in ("gRPC", "HTTP") for refusal in (False, True)]
    assert told == [f"{count} of {count}" for count in asked]
