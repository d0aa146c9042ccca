"""The local chain of tests and demo: found, warped, ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.chain.devchain import DevChain

pytestmark = [pytest.mark.contracts, pytest.mark.integration]


def test_a_node_that_finds_no_anvil_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketplace.chain.devchain import find_anvil
    from marketplace.errors import NotFoundError

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFoundError) as missing:
        find_anvil(tmp_path)
    assert "npm ci" in missing.value.hint
    assert find_anvil().name == "anvil"


def test_stop_ends_the_process_and_may_be_repeated() -> None:
    chain = DevChain.start()
    before = chain.now()
    snapshot = chain.snapshot()
    assert chain.warp(1000) >= before + 1000
    chain.revert(snapshot)
    assert chain.now() == before
    chain.stop()
    chain.stop()
    assert not Path(f"/proc/{chain.pid}").exists()
