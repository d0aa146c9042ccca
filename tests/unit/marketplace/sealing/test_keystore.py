"""Content keys at rest (docs/protocol.md section 5.3)."""

from __future__ import annotations

import json
import os
import secrets
import stat
import threading
from pathlib import Path

import pytest

from enclave_runtime.wire.canonical import dump
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sealing.disk import DiskError
from marketplace.sealing.keystore import DEFAULT_COST, KeyStore, KeystoreError, ScryptCost

WEAK = ScryptCost(log2_n=14)  # the least that is taken: these tests are about the file, not about guessing
DIGEST, KEY, SALT = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32


def opened(path: Path, passphrase: str = "correct horse") -> KeyStore:
    return KeyStore.open(path, passphrase, entropy=secrets.token_bytes, cost=WEAK)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "keystore.json"


def test_keeps_secrets_over_runs(path: Path) -> None:
    opened(path).put(DIGEST, KEY, SALT)
    again = opened(path)
    assert (again.get(DIGEST).content_key, again.get(DIGEST).salt) == (KEY, SALT)
    assert again.content_key(DIGEST) == KEY + SALT
    assert again.content_key(SALT) is None
    assert again.manifests() == (DIGEST,)
    with pytest.raises(NotFoundError):
        again.get(SALT)


def test_sees_what_another_process_put_meanwhile(path: Path) -> None:
    first, second = opened(path), opened(path)
    second.put(DIGEST, KEY, SALT)
    first.put(SALT, KEY, SALT)
    assert first.manifests() == second.manifests() == (DIGEST, SALT)


def test_putting_again_is_idempotent_and_never_overwrites(path: Path) -> None:
    store = opened(path)
    store.put(DIGEST, KEY, SALT)
    store.put(DIGEST, KEY, SALT)
    with pytest.raises(BadInputError, match="still free"):
        store.put(DIGEST, SALT, SALT)
    assert store.get(DIGEST).content_key == KEY


def test_other_secrets_have_names(path: Path) -> None:
    store = opened(path)
    store.put_secret("result/" + "ab" * 32, b"private key")
    assert store.get_secret("result/" + "ab" * 32) == b"private key"
    assert store.manifests() == ()
    for name, secret in (("", b""), ("UPPER", b""), ("a" * 129, b""), ("a", bytes(4097))):
        with pytest.raises(BadInputError):
            store.put_secret(name, secret)
    with pytest.raises(NotFoundError):
        store.get_secret("absent")


def test_file_is_private_and_shows_nothing(path: Path) -> None:
    old = os.umask(0)
    try:
        opened(path).put(DIGEST, KEY, SALT)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    data = path.read_bytes()
    for secret in (KEY, SALT, DIGEST):
        assert secret not in data
        assert secret.hex().encode() not in data
    assert repr(opened(path).get(DIGEST)).count("x02") == 0


def test_every_write_has_a_new_nonce_and_leaves_one_file(path: Path) -> None:
    store = opened(path)
    nonces = set()
    for number in range(5):
        store.put(bytes([number]) * 32, KEY, SALT)
        nonces.add(json.loads(path.read_bytes())["nonce"])
    assert len(nonces) == 5
    assert sorted(os.listdir(path.parent)) == ["keystore.json", "keystore.json.lock"]


def test_refuses_wrong_passphrase(path: Path) -> None:
    opened(path).put(DIGEST, KEY, SALT)
    with pytest.raises(KeystoreError, match="does not open") as caught:
        opened(path, "battery staple")
    assert "battery staple" not in str(caught.value)
    with pytest.raises(BadInputError, match="passphrase"):
        opened(path, "")


def test_passphrase_is_normalized(path: Path) -> None:
    opened(path, "caf\u00e9").put(DIGEST, KEY, SALT)
    assert opened(path, "cafe\u0301").manifests() == (DIGEST,)


def test_refuses_to_make_one_when_told(path: Path) -> None:
    with pytest.raises(NotFoundError):
        KeyStore.open(path, "x", entropy=secrets.token_bytes, create=False)
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_refuses_file_that_others_may_read_or_write(path: Path, mode: int) -> None:
    opened(path)
    path.chmod(mode)
    with pytest.raises(KeystoreError, match="nobody else") as caught:
        opened(path)
    assert "chmod 600" in caught.value.hint


def test_refuses_a_link_and_a_folder(path: Path, tmp_path: Path) -> None:
    opened(tmp_path / "real")
    path.parent.mkdir()
    path.symlink_to(tmp_path / "real")
    with pytest.raises(KeystoreError):
        opened(path)
    path.unlink()
    path.mkdir(mode=0o700)
    with pytest.raises(KeystoreError):
        opened(path)


def test_refuses_altered_or_hostile_files(path: Path) -> None:
    opened(path).put(DIGEST, KEY, SALT)
    good = json.loads(path.read_bytes())
    flipped = good["sealed"][:-1] + ("0" if good["sealed"][-1] != "0" else "1")
    bad: list[bytes] = [b"", b"{}", b"[]", b"\xff", path.read_bytes() + b" "]
    for change in (
        {"sealed": flipped},
        {"nonce": "0x" + "00" * 12},
        {"nonce": "0x"},
        {"version": 1},
        {"version": 3},
        {"serial": 7},
        {"serial": -1},
        {"id": "0x" + "00" * 16},
        {"check": "0x" + "00" * 16},
        {"cipher": "none"},
        {"kdf": None},
        {"kdf": {**good["kdf"], "name": "plain"}},
        {"kdf": {**good["kdf"], "log2_n": 30}},
        {"kdf": {**good["kdf"], "log2_n": 15}},
        {"kdf": {**good["kdf"], "r": 1 << 40}},
        {"kdf": {**good["kdf"], "salt": "0x"}},
        {"kdf": {**good["kdf"], "log2_n": True}},
    ):
        bad.append(dump({**good, **change}))
    for data in bad:
        path.write_bytes(data)
        with pytest.raises(KeystoreError):
            opened(path)


def test_interrupted_write_leaves_the_old_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(path)
    store.put(DIGEST, KEY, SALT)

    def dies(source: object, target: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", dies)
        with pytest.raises(DiskError, match="killed"):
            store.put(SALT, KEY, SALT)
    assert opened(path).manifests() == (DIGEST,)
    store.put(SALT, KEY, SALT)
    assert opened(path).manifests() == (DIGEST, SALT)


def test_many_writers_lose_nothing(path: Path) -> None:
    stores = [opened(path) for _ in range(3)]

    def write(store: KeyStore, first: int) -> None:
        for number in range(first, first + 5):
            store.put(bytes([number]) * 32, KEY, SALT)

    threads = [threading.Thread(target=write, args=(store, 5 * n)) for n, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(stores[0].manifests()) == 15


def test_costs_within_limits() -> None:
    assert DEFAULT_COST.log2_n >= 17
    for cost in ((13, 8, 1), (21, 8, 1), (17, 1, 1), (17, 17, 1), (17, 8, 0), (17, 8, 5)):
        with pytest.raises(BadInputError):
            ScryptCost(*cost)


def test_sizes_are_checked(path: Path) -> None:
    store = opened(path)
    for arguments in ((DIGEST[1:], KEY, SALT), (DIGEST, KEY[1:], SALT), (DIGEST, KEY, SALT + b"x")):
        with pytest.raises(BadInputError, match="expected 32 bytes"):
            store.put(*arguments)
