"""What an owner sees of a broker's policy, and of its log, without a chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.transcript import Transcript
from tests.unit.marketplace.keybroker.test_broker_admin import GOOD, POLICIES

TRANSCRIPT = Path(__file__).parent / "transcripts" / "broker.txt"


def test_transcript_of_a_policy_that_is_read_put_in_force_and_swapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    (tmp_path / "policy.toml").write_text((POLICIES / "two-gpus.toml").read_text())
    both = 'intel = "file:c.json"\namd-genoa = "file:c.json"\namd-turin = "file:c.json"'
    (tmp_path / "broker.toml").write_text(GOOD.replace('intel = "file:collateral.json"', both))
    (tmp_path / "lax.toml").write_text(
        (POLICIES / "two-gpus.toml").read_text().replace("require_smt_off = true", "accept_milan = true")
    )
    Transcript(TRANSCRIPT, {"TMP": str(tmp_path)}).check()
