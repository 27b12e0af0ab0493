"""Which calls need a token, and what counts as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fovea import wire
from fovea.contract.errors import Unauthenticated
from fovea.serving.security.token import Tokens

RIGHT = "s3cret"


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    file = tmp_path / "tokens"
    file.write_text(f"another\n\n{RIGHT}\n")
    file.chmod(0o600)
    return Tokens(file)


@pytest.mark.parametrize("header", [f"Bearer {RIGHT}", f"bearer  {RIGHT} ", "Bearer another"])
def test_a_token_of_the_file_lets_in(tokens: Tokens, header: str) -> None:
    tokens.check("ModelInfer", header)


@pytest.mark.parametrize(
    "header", [None, "", RIGHT, f"Basic {RIGHT}", "Bearer", "Bearer ", f"Bearer {RIGHT}2", "Bearer s3cre"]
)
def test_nothing_else_does(tokens: Tokens, header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        tokens.check("ModelInfer", header)


def test_only_the_servers_own_probes_need_none(tokens: Tokens) -> None:
    refused = set()
    for rpc in wire.METHODS:
        try:
            tokens.check(rpc, None)
        except Unauthenticated:
            refused.add(rpc)
    assert set(wire.METHODS) - refused == {"ServerLive", "ServerReady"}
