"""`cloister certifier revoke` on a local chain: a certifier's list, and the registry that reads no list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.wire.codec import hex_of
from marketplace.chain.deploy_roles import ROLES
from marketplace.chain.devchain import DevChain
from marketplace.cli.main import run
from marketplace.domain.order_state import OrderState
from marketplace.sdk.profile import Profile
from tests.cli.transcript import Transcript
from tests.integration.chain_world import ROOT_SET, SignedCvm, World

pytestmark = [pytest.mark.contracts, pytest.mark.integration]

TRANSCRIPT = Path(__file__).parent / "transcripts" / "revoking.txt"
PEOPLE = {"REVOKER": "treasurer", "SLOW": "owner_a", "STRANGER": "client"}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with DevChain.start() as chain:
        world = World(chain)
        world.ready_provider()
        authority = world.governors.writer
        for name, delay_s in (("treasurer", 0), ("owner_a", 3600)):
            role, account = ROLES["revoker"].number, world.keys[name].address
            authority.call("Authority", "grantRole", role, account, delay_s)
        yield world


@pytest.fixture
def places(world: World, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give a certifier's settings and homes: a revoker, one with a delay, one without the role."""
    snapshot = world.chain.snapshot()
    world.deployment.save(tmp_path / "deployment.json")
    for word, name in PEOPLE.items():
        private(tmp_path / word / "key", world.keys[name]._key.to_hex())
        Profile.write(tmp_path / word, rpc=[world.chain.url], deployment="../deployment.json", key="key")
    private(tmp_path / "certifier.key", "11" * 32)
    (tmp_path / "certifier.toml").write_text(f"""
name = "first"
state_dir = "state"
validity_s = 3600
[key]
file = "certifier.key"
[chain]
rpc = "{world.chain.url}"
deployment = "deployment.json"
[accept]
root_sets = ["{ROOT_SET}"]
unsafe_accept_simulated = "{ROOT_SET}"
measurements = []
[collateral]
"{ROOT_SET}" = "file:collateral.json"
""")
    made = {word: str(tmp_path / word) for word in PEOPLE} | {"TMP": str(tmp_path)}
    made |= {"CVM": hex_of(SignedCvm.named("seen by a person").cvm_id), "NEVER": "0x" + "ab" * 32}
    yield made
    world.chain.revert(snapshot)


def private(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


def spoken(capsys: pytest.CaptureFixture[str], home: str, *words: str) -> dict[str, object]:
    assert run(["--home", home, "certifier", "revoke", *words, "--json"]) == 0, capsys.readouterr().err
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


def test_transcript_of_revocations(
    places: dict[str, str], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOISTER_HOME", raising=False)
    cvm = SignedCvm.named("seen by a person")
    world.register(cvm)
    Transcript(TRANSCRIPT, places).check()
    record = world.reader.cvm(cvm.cvm_id)
    assert record is not None and record.revoked
    assert world.reader.cvm(bytes.fromhex(places["NEVER"][2:])) is not None


def test_a_running_order_ends_by_the_command(
    places: dict[str, str], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    cvm = SignedCvm.named("revoked by a person")
    preimage = world.order("ends by the command")
    order = world.running(cvm, preimage)
    words = [hex_of(cvm.cvm_id), "--on-chain", "--yes"]
    said = spoken(capsys, places["REVOKER"], *words)
    assert said["tx"] and said["chain"]["state"] == "revoked"  # type: ignore[index]
    again = spoken(capsys, places["REVOKER"], *words)
    assert "tx" not in again and again["chain"]["state"] == "revoked"  # type: ignore[index]
    assert world.reader.cvm(cvm.cvm_id).revoked  # type: ignore[union-attr]
    assert not world.operators.cvm_usable(cvm.cvm_id, world.reader.now())
    world.anyone.settle_revoked(preimage.terms)
    assert world.reader.get_order(order).state is OrderState.REVOKED


def test_the_call_that_is_shown_is_the_call(
    places: dict[str, str], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    cvm = SignedCvm.named("revoked by a multisig")
    shown = spoken(capsys, places["STRANGER"], hex_of(cvm.cvm_id), "--on-chain", "--dry-run")
    assert world.reader.cvm(cvm.cvm_id) is None, "a dry run sent something"
    chain = shown["chain"]
    assert isinstance(chain, dict) and shown["delay_s"] is None and chain["state"] == "unknown"
    to, data = bytes.fromhex(chain["contract"][2:]), bytes.fromhex(chain["call"][2:])
    world.writer("treasurer").sender.send(to, data)
    assert world.reader.cvm(cvm.cvm_id).revoked  # type: ignore[union-attr]


def test_nothing_is_signed_where_the_chain_would_refuse(
    places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    cvm, config = hex_of(SignedCvm.named("kept").cvm_id), places["TMP"] + "/certifier.toml"
    both = ["certifier", "revoke", cvm, "--config", config, "--reason", "why", "--on-chain", "--yes"]
    for home in (places["STRANGER"], places["SLOW"]):
        assert run(["--home", home, *both]) == 1
    capsys.readouterr()
    assert run(["certifier", "revoked", "--config", config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"revoked": []}
