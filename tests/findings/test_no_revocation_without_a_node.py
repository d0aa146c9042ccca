"""A certifier could not take its word back while its chain node was silent: the node could hold it up."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from coincurve import PrivateKey

from marketplace.certifier.admin import list_revoked
from marketplace.certifier.config import load_config
from marketplace.cli.main import run
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.integration.services_kit import certifier_home

CVM = "0x" + "ab" * 32


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return certifier_home(tmp_path / "certifier", SimulatedTdx(), "http://127.0.0.1:9", PrivateKey())


def test_a_certifier_revokes_while_its_node_is_silent(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["certifier", "revoke", CVM, "--config", str(config), "--reason", "its key was found"]
    begun = int(time.time())
    assert run([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["new"] is True and said["chain"] == {"state": "not asked"}
    (revoked,) = list_revoked(load_config(config))
    assert begun <= revoked.at <= time.time() and revoked.reason == "its key was found"
    assert run(words) == 0
    assert "the node does not answer" in capsys.readouterr().out


def test_what_needs_the_chain_still_fails_without_it(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from marketplace.sdk.profile import Profile

    (tmp_path / "key").write_text("33" * 32)
    (tmp_path / "key").chmod(0o600)
    Profile.write(
        tmp_path, rpc=["http://127.0.0.1:9"], deployment=config.with_name("deployment.json"), key="key"
    )
    words = ["--home", str(tmp_path), "certifier", "revoke", CVM, "--on-chain", "--yes"]
    assert run([*words, "--config", str(config), "--reason", "why"]) == 1
    assert list_revoked(load_config(config)) == [], "half of it was done"
