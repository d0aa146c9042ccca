"""What the demo writes for its parties is what operators' programs read, and is private where it must be."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from enclave_runtime.wire.orders import Windows
from marketplace.certifier.config import load_config as load_certifier
from marketplace.demo.homes import OWNERS, make_homes
from marketplace.demo.plaintext import count_plaintext, markers_of
from marketplace.demo.scenario import MIN_GRACE_S, PARTIES, windows
from marketplace.demo.settings import Accept, broker_settings, certifier_settings, policy_text, write_secret
from marketplace.demo.timeline import seconds_by_part
from marketplace.keybroker.config import load_config as load_broker
from marketplace.keybroker.config import load_policy
from marketplace.provider.policy import AgentPolicy

ACCEPT = Accept("dev:" + "5a" * 32, ("0x" + "11" * 32,))
ORDER = b"\x01" * 32


def test_homes_are_private_and_every_key_is_another(tmp_path: Path) -> None:
    homes = make_homes(tmp_path)
    assert set(homes) == {party.slug for party in PARTIES}
    assert len({home.address for home in homes.values()}) == len(homes)
    for slug, home in homes.items():
        assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
        for name in ("wallet.key", "passphrase", "content-keys.json"):
            assert stat.S_IMODE((home.path / name).stat().st_mode) == 0o600
        assert (home.grant_address is not None) is (slug in OWNERS)
        assert home.grant_address != home.address


def test_a_secret_is_private_even_over_a_file_that_was_not(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    write_secret(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "new"


def test_a_certifier_reads_its_settings(tmp_path: Path) -> None:
    write_secret(tmp_path / "key", "11" * 32)
    path = tmp_path / "certifier.toml"
    deployment, source = tmp_path / "deployment.json", f"simulated:{tmp_path}/p.sock"
    path.write_text(
        certifier_settings("one", ACCEPT, rpc="http://127.0.0.1:1", deployment=deployment, collateral=source)
    )
    assert load_certifier(path).name == "one"


@pytest.mark.parametrize("approve", ["auto", "hand"])
def test_a_broker_reads_its_settings_and_its_policy(tmp_path: Path, approve: str) -> None:
    home = make_homes(tmp_path)["hospital-a"]
    path = home.path / "broker.toml"
    deployment, source = tmp_path / "deployment.json", f"simulated:{tmp_path}/p.sock"
    path.write_text(
        broker_settings(
            ACCEPT, rpc="http://127.0.0.1:1", deployment=deployment, collateral=source, approve=approve
        )
    )
    text = policy_text(
        ACCEPT, engines=("0x" + "22" * 32,), clients=(home.text,), listed_by=home.text, min_price_due=7
    )
    (home.path / "policy.toml").write_text(text)
    assert load_broker(path)
    policy = load_policy(home.path / "policy.toml")
    assert policy.min_price_due == 7
    assert policy.unsafe_accept_simulated


def test_the_demos_windows_are_ones_that_an_agent_takes() -> None:
    made = windows()
    assert isinstance(made, Windows)
    assert made.grace >= max(MIN_GRACE_S, AgentPolicy(0).min_grace_s)
    assert windows(keys_within_s=2).keys_within == 2


def test_rows_are_found_wherever_they_lie_but_with_their_owners(tmp_path: Path) -> None:
    data = tmp_path / "world" / "plain" / "hospital_a"
    data.mkdir(parents=True)
    rows = [b"header", *(b"%d,%d,%d" % (number, number * 7, number * 13) * 3 for number in range(100, 120))]
    (data / "data.csv").write_bytes(b"\n".join(rows))
    markers = markers_of(data.parent)
    assert markers == (rows[1], rows[len(rows) // 2], rows[-1])
    world = tmp_path / "world"
    assert count_plaintext(world, markers) == 0
    (world / "store").mkdir()
    (world / "store" / "blob").write_bytes(b"x" * 1000 + rows[-1] + b"y")
    (world / "agent.log").write_bytes(rows[1])
    (world / "centre" / "result").mkdir(parents=True)
    (world / "centre" / "result" / "rows").write_bytes(rows[1])
    assert count_plaintext(world, markers) == 2


def test_the_parts_of_an_order_are_read_from_the_agents_log(tmp_path: Path) -> None:
    said = [
        (1.0, "accept on chain"),
        (1.5, "ask the owners' brokers for grants"),
        (2.0, "give ciphertext to the CVM"),
        (2.2, "give ciphertext to the CVM"),
        (2.5, "start the engine"),
        (4.5, "store the sealed result"),
        (4.75, "the order is COMPLETED"),
    ]
    lines = [json.dumps({"at": at, "order": "0x" + ORDER.hex(), "say": text}) for at, text in said]
    other = json.dumps({"at": 9.0, "order": "0x" + "02" * 32, "say": "accept on chain"})
    (tmp_path / "agent.log").write_text("\n".join(["Traceback", other, *lines]))
    assert seconds_by_part(tmp_path / "agent.log", ORDER) == {
        "accept": 0.5,
        "release": 0.5,
        "load": 0.5,
        "train": 2.0,
        "report": 0.25,
    }
