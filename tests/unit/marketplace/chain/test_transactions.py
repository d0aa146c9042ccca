"""Signed transactions and signers against eth-account."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.signer import (
    Signer,
    checksum_address,
    create_keystore,
    keystore_address,
    parse_address,
    read_passphrase,
)
from marketplace.chain.transactions import Transaction, rlp
from marketplace.errors import BadInputError, NotFoundError

KEY = keccak256(b"a test key")
SIGNER = Signer.from_key(KEY)


@given(
    nonce=st.integers(0, 2**64 - 1),
    fee=st.integers(0, 2**60),
    gas=st.integers(21_000, 2**40),
    to=st.one_of(st.just(b""), st.binary(min_size=20, max_size=20)),
    value=st.integers(0, 2**90),
    data=st.binary(max_size=300),
    chain_id=st.sampled_from([1, 204, 5611, 31337]),
)
def test_signs_the_same_bytes_as_eth_account(
    nonce: int, fee: int, gas: int, to: bytes, value: int, data: bytes, chain_id: int
) -> None:
    ours = Transaction(chain_id, nonce, fee // 2, fee, gas, to, value, data)
    members = {
        "type": 2, "chainId": chain_id, "nonce": nonce, "maxPriorityFeePerGas": fee // 2,
        "maxFeePerGas": fee, "gas": gas, "value": value, "data": data,
    }  # fmt: skip
    if to:
        members["to"] = checksum_address(to)
    theirs = Account.sign_transaction(members, KEY)
    raw = ours.signed(SIGNER.sign_digest)
    assert raw == bytes(theirs.raw_transaction)
    assert keccak256(raw) == bytes(theirs.hash)


def test_rlp_of_the_yellow_papers_examples() -> None:
    assert rlp(b"dog") == b"\x83dog" and rlp([]) == b"\xc0" and rlp(0) == b"\x80" and rlp(15) == b"\x0f"
    assert rlp(1024) == b"\x82\x04\x00" and rlp([[], [[]]]) == b"\xc3\xc0\xc1\xc0"
    assert rlp(b"a" * 56) == b"\xb8\x38" + b"a" * 56


def test_keystore_is_what_wallets_read_and_only_its_owner_may(tmp_path: Path) -> None:
    path = tmp_path / "wallet.json"
    signer = create_keystore(path, "correct horse", scrypt_n=1 << 12)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keystore_address(path) == signer.address
    assert Signer.from_keystore(path, "correct horse").address == signer.address
    assert bytes(Account.decrypt(path.read_text(), "correct horse")) != KEY
    with pytest.raises(BadInputError, match="does not open") as refused:
        Signer.from_keystore(path, "wrong")
    assert refused.value.__cause__ is None
    with pytest.raises(BadInputError, match="not overwritten"):
        create_keystore(path, "x")
    with pytest.raises(NotFoundError):
        Signer.from_keystore(tmp_path / "none.json", "x")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(BadInputError, match="version 3"):
        Signer.from_keystore(tmp_path / "bad.json", "x")


def test_a_signer_shows_its_address_and_never_its_key() -> None:
    for text in (repr(SIGNER), str(SIGNER), f"{[SIGNER]}"):
        assert KEY.hex() not in text.lower() and checksum_address(SIGNER.address) in text
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(SIGNER)
    with pytest.raises(BadInputError) as refused:
        Signer.from_key(b"\x00" * 32)
    assert "00" * 8 not in str(refused.value)
    with pytest.raises(BadInputError):
        Signer.from_key(KEY + b"\x00")


def test_passphrases_come_from_where_the_caller_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pass"
    path.write_text("from a file\r\nsecond line")
    monkeypatch.setenv("A_PASSPHRASE", "from the environment")
    assert read_passphrase(f"file:{path}") == "from a file"
    assert read_passphrase("env:A_PASSPHRASE") == "from the environment"
    assert read_passphrase("prompt", lambda question: f"to {question}") == "to passphrase"
    path.write_bytes(b"\n")
    for source in (f"file:{path}", "prompt", "plain secret", "file:", "env:"):
        with pytest.raises(BadInputError) as refused:
            read_passphrase(source)
        assert "plain secret" not in str(refused.value)[len("passphrase source: got plain secret") :]
    for source in ("env:NO_SUCH_NAME_HERE", f"file:{tmp_path / 'none'}"):
        with pytest.raises(NotFoundError):
            read_passphrase(source)


@given(st.binary(min_size=20, max_size=20))
def test_addresses_read_back_with_and_without_checksum(raw: bytes) -> None:
    text = checksum_address(raw)
    assert parse_address(text) == parse_address(hex_of(raw)) == parse_address(" " + text + " ") == raw


def test_mistyped_addresses_are_refused() -> None:
    good = checksum_address(SIGNER.address)
    flipped = good[:2] + "".join(c.swapcase() for c in good[2:])
    for text in ("", "0x", good[2:], good + "00", good[:-1], flipped, "0x" + "zz" * 20):
        with pytest.raises(BadInputError):
            parse_address(text)
