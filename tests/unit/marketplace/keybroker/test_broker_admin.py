"""A broker's settings, and what its owner does beside the service (marketplace.keybroker.config, admin)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marketplace.errors import BadInputError
from marketplace.keybroker.__main__ import main
from marketplace.keybroker.config import load_config, load_policy
from marketplace.keybroker.core import BrokerStep
from marketplace.service.audit import read_log, verify_log
from tests.unit.marketplace.keybroker.conftest import Make

POLICIES = Path(__file__).parents[4] / "examples" / "policies"

GOOD = """
state_dir = "state"
policy = "policy.toml"
approve = "hand"
[keystore]
file = "keystore.json"
passphrase_file = "keystore.pass"
[grant_key]
file = "grant.key"
[chain]
rpcs = ["http://one.example", "http://two.example"]
deployment = "deployment.json"
[collateral]
intel = "file:collateral.json"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "policy.toml").write_text((POLICIES / "hospital.toml").read_text())
    path = tmp_path / "broker.toml"
    path.write_text(GOOD)
    return path


def test_reads_all_with_paths_relative_to_the_file(settings: Path) -> None:
    config = load_config(settings)
    assert config.by_hand and len(config.rpcs) == 2 and config.confirmed == "finalized"
    assert config.store_path == settings.parent / "state" / "broker.sqlite3"
    assert config.policy == load_policy(POLICIES / "hospital.toml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('approve = "hand"', 'approve = "maybe"'),
        ('policy = "policy.toml"', ""),
        ('rpcs = ["http://one.example", "http://two.example"]', "rpcs = []"),
        ("[chain]", '[chain]\nconfirmed = "latest"'),
        ('intel = "file:collateral.json"', ""),
        ("[grant_key]", '[grant_key]\nkey = "0x1"'),
        ("state_dir", "stat_dir"),
    ],
)
def test_refuses_missing_wrong_and_unknown_settings(settings: Path, old: str, new: str) -> None:
    assert old in GOOD
    settings.write_text(GOOD.replace(old, new))
    with pytest.raises(BadInputError):
        load_config(settings)


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.toml")), ids=lambda path: path.name)
def test_example_policies_are_valid_and_explained(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = load_policy(path)
    assert main(["explain", "--policy", str(path)]) == 0
    words = capsys.readouterr().out
    assert ("DANGER" in words) == policy.unsafe_accept_simulated
    assert ("NOTHING is ever released" in words) == (policy.empty() is not None)


def test_owner_lists_approves_and_denies_beside_the_service(
    make: Make, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make(by_hand=True, state=settings.parent / "state")
    first, second = (world.body(*world.running(salt=salt)) for salt in (1, 2))
    ids = [world.release(body).json()["pending"] for body in (first, second)]
    config = ["--config", str(settings)]
    assert main(["pending", *config]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["id"] for row in shown} == set(ids)
    assert {"order_id", "client", "engine_digest", "trust_class", "measurement"} <= set(shown[0])
    assert main(["approve", *config, ids[0]]) == 0
    assert main(["deny", ids[1], *config]) == 0
    world.granted(first)
    assert world.refused(second)["step"] == BrokerStep.APPROVAL
    assert world.events() == ["approved by hand", "denied by hand", "granted", "refused"]
    capsys.readouterr()
    assert main(["verify-log", *config]) == 0
    assert capsys.readouterr().out.startswith(f"{verify_log(world.audit_path).entries} entries, head 0x")
    assert main(["pending", *config]) == 0 and capsys.readouterr().out == ""


def test_command_line_names_what_is_wrong(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["--config", str(settings)]
    for arguments in (
        ["approve", *config],
        ["approve", *config, "0" * 16],
        ["pending"],
        ["verify-log", *config],
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_a_tampered_log_is_found_from_the_command_line(
    make: Make, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make(state=settings.parent / "state")
    for salt in (1, 2):
        world.granted(world.body(*world.running(salt=salt)))
    assert len(list(read_log(world.audit_path))) == 2
    world.audit_path.write_text(world.audit_path.read_text().replace('"input_index":1', '"input_index":2', 1))
    assert main(["verify-log", "--config", str(settings)]) == 2
    assert "line 2" in capsys.readouterr().err
