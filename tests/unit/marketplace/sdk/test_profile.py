"""Profiles: read strictly, written for their owner's eyes, and what a session opens from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from enclave_runtime.wire.codec import hex_of
from marketplace.chain.signer import Signer
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sdk.profile import CONFIG_NAME, Profile, Session, default_home
from marketplace.sdk.settings import Trust, config_text, installed_runtime
from marketplace.sdk.trust import anchor_of, order_policy, root_set_of
from tests.fakes.audited_order import MEASUREMENT, NOW, VENDOR

DEV = VENDOR.roots.id


def written(home: Path, text: str) -> Path:
    home.mkdir(exist_ok=True)
    (home / CONFIG_NAME).write_text(text)
    return home


PLAIN = 'rpc = ["http://one"]\ndeployment = "d.json"\nkey = "k"\nstore = "s"\ncontent_keys = "c"\n'


def test_profile_reads_back_what_was_written(tmp_path: Path) -> None:
    profile = Profile.write(
        tmp_path / "home",
        rpc=["http://127.0.0.1:1", "http://127.0.0.1:2"],
        deployment=tmp_path / "deployment.json",
        passphrase="passphrase",
        trust={"root_set": DEV, "unsafe_accept_simulated": True, "measurements": [hex_of(MEASUREMENT)]},
        owner={"release_url": "http://127.0.0.1:3", "grant_key": "grant.key"},
        provider={"compute_offer": 4, "max_lock": str(10**20), "certifiers": ["http://c"], "poll_s": 0.5},
    )
    assert profile == Profile.load(tmp_path / "home")
    assert profile.rpc == ("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert profile.key == tmp_path / "home" / "wallet.json"
    assert profile.trust.measurements == (MEASUREMENT,) and profile.simulated
    assert profile.provider.max_lock == 10**20 and profile.provider.poll_s == 0.5
    assert profile.owner.grant_key == tmp_path / "home" / "grant.key"
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "home" / CONFIG_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ['a "quoted" \\ path', "ünï", "tab\there", "del\x7f"])
def test_settings_write_any_text_as_toml(text: str) -> None:
    import tomllib

    assert tomllib.loads(config_text({"": {"name": text}, "part": {"flag": True, "list": [text]}})) == {
        "name": text,
        "part": {"flag": True, "list": [text]},
    }


def test_profile_needs_no_more_than_the_plain_members(tmp_path: Path) -> None:
    profile = Profile.load(written(tmp_path, PLAIN))
    assert profile.passphrase is None and not profile.simulated
    assert profile.provider.runtime() == installed_runtime()


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("misspelt = 1\n", "unknown settings"),
        ('[trust]\nroot = "intel"\n', "unknown settings"),
        ('[trust]\nunsafe_accept_simulated = "yes"\n', "unsafe_accept_simulated"),
        ('[trust]\nmeasurements = ["0x12"]\n', "measurements"),
        ('[trust]\nworst_tcb = "Fine"\n', "TCB status"),
        ('[provider]\nmax_lock = "much"\n', "max_lock"),
        ("[provider]\npoll_s = true\n", "poll_s"),
        ("[provider]\npoll_s = 0\n", "poll_s"),
        ("[provider]\nwarm = 99\n", "warm"),
        ('[provider]\nrequirements = "one"\n', "requirements"),
    ],
)
def test_profile_refuses_what_it_does_not_know(tmp_path: Path, more: str, what: str) -> None:
    with pytest.raises(BadInputError, match=what):
        Profile.load(written(tmp_path, PLAIN + more))


def test_profile_refuses_no_node_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="rpc"):
        Profile.load(written(tmp_path, PLAIN.replace('["http://one"]', "[]")))
    with pytest.raises(NotFoundError, match="no profile") as caught:
        Profile.load(tmp_path / "elsewhere")
    assert "cloister init" in caught.value.hint


def test_home_comes_from_the_environment_then_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("CLOISTER_HOME", raising=False)
    assert default_home() == tmp_path / "cloister"
    monkeypatch.setenv("CLOISTER_HOME", str(tmp_path / "mine"))
    assert default_home() == tmp_path / "mine"


# sessions
def session(home: Path, key: str, *, mode: int = 0o600) -> Session:
    path = home / "wallet.json"
    home.mkdir(exist_ok=True)
    path.write_text(key)
    path.chmod(mode)
    return Session(Profile.write(home, rpc=["http://127.0.0.1:1"], deployment="d.json"))


def test_session_signs_with_a_hex_key(tmp_path: Path) -> None:
    made = session(tmp_path, "0x" + "11" * 32 + "\n")
    assert made.address == Signer.from_key(b"\x11" * 32).address == made.signer.address


@pytest.mark.parametrize("text", ["zz" * 32, "11" * 31, "not a key"])
def test_session_refuses_another_key_without_showing_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInputError) as caught:
        _ = session(tmp_path, text).address
    assert text not in str(caught.value)


def test_session_refuses_a_key_that_others_can_read(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        _ = session(tmp_path, "11" * 32, mode=0o644).address
    assert "chmod 600" in caught.value.hint


def test_session_knows_the_address_of_an_encrypted_wallet_without_its_passphrase(tmp_path: Path) -> None:
    record = '{"version": 3, "address": "' + "ab" * 20 + '"}'
    assert session(tmp_path, record).address == b"\xab" * 20


def test_session_asks_for_a_passphrase_only_where_there_is_no_file(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "typed"

    (tmp_path / "pass").write_text("kept\n")
    (tmp_path / "pass").chmod(0o600)
    profile = Profile.write(tmp_path, rpc=["http://x"], deployment="d", passphrase="pass")
    Session(profile, ask=ask).keystore().put_secret("a", b"1")
    assert not asked
    other = Profile.write(tmp_path, rpc=["http://x"], deployment="d", content_keys="other.json")
    made = Session(other, ask=ask)
    made.keystore()
    made.keystore()
    assert len(asked) == 1
    with pytest.raises(BadInputError, match="passphrase"):
        Session(other).keystore()


# trust
def test_trust_refuses_a_simulated_root_that_nobody_acknowledged() -> None:
    with pytest.raises(BadInputError, match="SIMULATED") as caught:
        root_set_of(Trust(DEV, False, "", (MEASUREMENT,)))
    assert "unsafe_accept_simulated" in caught.value.hint
    assert root_set_of(Trust(DEV, True, "", (MEASUREMENT,))).simulated


def test_trust_refuses_to_believe_nothing() -> None:
    for trust in (Trust(), Trust("intel"), Trust("somebody", False, "", (MEASUREMENT,))):
        with pytest.raises(BadInputError):
            root_set_of(trust)
    with pytest.raises(BadInputError, match="collateral"):
        anchor_of(Trust("intel", False, "", (MEASUREMENT,)))


def test_orders_accept_what_their_client_believes_and_nothing_else() -> None:
    policy = order_policy(Trust(DEV, True, "", (MEASUREMENT,)))
    assert policy.measurements == (MEASUREMENT,)
    assert policy.trust_classes == (VENDOR.roots.chain_id,)
    assert order_policy(Trust("intel", False, "", (MEASUREMENT,))).trust_classes != policy.trust_classes


def test_anchor_takes_collateral_from_the_partys_own_file(tmp_path: Path) -> None:
    path = tmp_path / "collateral.json"
    path.write_bytes(VENDOR.collateral(NOW).to_bytes())
    anchor = anchor_of(Trust(DEV, True, f"file:{path}", (MEASUREMENT,)))
    assert anchor.collateral == VENDOR.collateral(NOW) or anchor.collateral.need("intel").tcb_info
    with pytest.raises(BadInputError, match="collateral"):
        anchor_of(Trust(DEV, True, f"simulated:{path}", (MEASUREMENT,)))
