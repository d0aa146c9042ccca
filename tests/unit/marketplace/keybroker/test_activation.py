"""Only a policy that its owner has seen in words is in force (protocol section 5.2)."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.wire.codec import hex_of
from marketplace.errors import BadInputError
from marketplace.keybroker.__main__ import main
from marketplace.keybroker.activation import (
    activate,
    deactivate,
    policy_digest,
    require_active,
    sentences,
    shown,
)
from marketplace.keybroker.config import load_config
from marketplace.keybroker.core import BrokerStep
from marketplace.keybroker.store import Store
from marketplace.service.audit import read_log
from tests.unit.marketplace.keybroker.conftest import POLICY_DIGEST, World
from tests.unit.marketplace.keybroker.test_broker_admin import GOOD, POLICIES


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "policy.toml").write_text((POLICIES / "hospital.toml").read_text())
    path = tmp_path / "broker.toml"
    path.write_text(GOOD)
    return path


def events(settings: Path) -> list[Any]:
    return list(read_log(settings.parent / "state" / "audit.log"))


def test_shows_the_words_then_puts_them_in_force_and_into_the_log(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_config(settings)
    assert not shown(config).active
    assert not config.store_path.exists()  # looking changes nothing
    assert main(["activate", "--config", str(settings), "--yes"]) == 0
    words = capsys.readouterr().out
    for line in sentences(config):
        assert line in words
    assert shown(config).active
    (entry,) = events(settings)
    assert entry["event"] == "policy activated"
    assert entry["facts"] == {"policy": hex_of(policy_digest(config)), "sentences": sentences(config)}


@pytest.mark.parametrize("answer", ["no\n", "\n", "", "YES\n"])
def test_anything_but_yes_changes_nothing(
    settings: Path, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert main(["activate", "--config", str(settings)]) == 2
    assert not shown(load_config(settings)).active
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert main(["activate", "--config", str(settings)]) == 0
    assert shown(load_config(settings)).active


def test_what_was_shown_is_what_is_activated(settings: Path) -> None:
    seen = policy_digest(load_config(settings))
    policy = settings.parent / "policy.toml"
    policy.write_text(policy.read_text().replace("max_uses = 3", "max_uses = 3000"))
    with pytest.raises(BadInputError, match="shown"):
        activate(load_config(settings), seen=seen, at=1)
    assert not shown(load_config(settings)).active


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('approve = "hand"', 'approve = "auto"'),
        ('["http://one.example", "http://two.example"]', '["http://one.example"]'),
        ("[chain]", '[chain]\nconfirmed = "head"'),
    ],
)
def test_a_setting_that_decides_as_much_as_the_policy_wants_it_anew(
    settings: Path, old: str, new: str
) -> None:
    before = load_config(settings)
    activate(before, seen=policy_digest(before), at=1)
    settings.write_text(settings.read_text().replace(old, new))
    assert not shown(load_config(settings)).active


def test_one_byte_of_the_policy_wants_it_anew_and_the_service_does_not_start(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_config(settings)
    activate(config, seen=policy_digest(config), at=1)
    policy = settings.parent / "policy.toml"
    policy.write_text(policy.read_text() + "\n")
    store = Store(config.store_path)
    with pytest.raises(BadInputError, match="activate"):
        require_active(store, policy_digest(load_config(settings)))
    store.close()
    assert main(["explain", "--config", str(settings)]) == 0
    assert "NOT in force" in capsys.readouterr().out


def test_none_in_force_is_said_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "broker.sqlite3")
    with pytest.raises(BadInputError, match="never activated"):
        require_active(store, os.urandom(32))
    store.close()


def test_a_running_broker_stops_granting_when_another_policy_is_activated(world: World) -> None:
    first = world.body(*world.running(salt=1))
    world.granted(first)
    world.broker.store.activate(b"\x01" * 32, at=2)
    assert world.refused(world.body(*world.running(salt=2)))["step"] == BrokerStep.POLICY
    assert world.refused(first)["step"] == BrokerStep.POLICY  # nor is the old grant repeated
    world.broker.store.deactivate()
    assert world.refused(first)["expected"] == "none in force"
    world.broker.store.activate(POLICY_DIGEST, at=3)
    world.granted(first)


def test_deactivation_is_logged(settings: Path) -> None:
    config = load_config(settings)
    activate(config, seen=policy_digest(config), at=1)
    deactivate(config, at=2)
    assert not shown(config).active
    assert [entry["event"] for entry in events(settings)] == ["policy activated", "policy deactivated"]


def test_a_single_node_and_the_head_are_shouted(settings: Path) -> None:
    text = settings.read_text().replace(
        '["http://one.example", "http://two.example"]', '["http://one.example"]'
    )
    settings.write_text(text.replace("[chain]", '[chain]\nconfirmed = "head"'))
    lines = sentences(load_config(settings))
    loud = [line for line in lines if line.startswith(("WEAK", "DANGER"))]
    assert lines[: len(loud)] == loud  # before everything else
    assert any("one node alone" in line for line in loud) and any("newest block" in line for line in loud)


def test_state_of_the_version_before_is_taken_over_and_has_no_policy(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "broker.sqlite3"
    Store(path).close()
    with sqlite3.connect(path) as old:
        old.execute("DROP TABLE active_policy")
        old.execute("PRAGMA user_version = 1")
    store = Store(path)
    assert store.active_policy() is None
    store.activate(b"\x01" * 32, at=1)
    assert store.active_policy() == b"\x01" * 32
    store.close()
