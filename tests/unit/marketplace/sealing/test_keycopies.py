"""Backup, restore, another passphrase, what took what's place (docs/protocol.md section 5.3)."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

import pytest

from enclave_runtime.sealed.locked import wipe
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sealing.keycopies import back_up, restore
from marketplace.sealing.keyfile import load
from marketplace.sealing.keystore import KeyStore, KeystoreError, ScryptCost

WEAK = ScryptCost(log2_n=14)
PASS = "correct horse"
ONE, TWO, KEY, SALT = b"\x01" * 32, b"\x04" * 32, b"\x02" * 32, b"\x03" * 32


def opened(path: Path, passphrase: str = PASS) -> KeyStore:
    return KeyStore.open(path, passphrase, entropy=secrets.token_bytes, cost=WEAK)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "keystore.json"
    opened(place).put(ONE, KEY, SALT)
    return place


def test_backup_opens_as_a_keystore_of_its_own(path: Path, tmp_path: Path) -> None:
    made = back_up(path, PASS, tmp_path / "copy")
    assert (made.entries, made.serial) == (1, 2)
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert opened(tmp_path / "copy").get(ONE).content_key == KEY


def test_backup_replaces_nothing_and_needs_the_passphrase(path: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(KeystoreError, match="got a file, expected none"):
        back_up(path, PASS, tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"
    with pytest.raises(KeystoreError, match="passphrase"):
        back_up(path, "another", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_backup_onto_a_disk_without_hard_links(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links on this disk")

    monkeypatch.setattr(os, "link", refuses)
    back_up(path, PASS, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()
    with pytest.raises(KeystoreError, match="expected none"):
        back_up(path, PASS, tmp_path / "copy")
    assert sorted(os.listdir(tmp_path)) == ["copy", "keystore.json", "keystore.json.lock"]


def test_restores_what_was_lost(path: Path, tmp_path: Path) -> None:
    back_up(path, PASS, tmp_path / "copy")
    path.unlink()
    assert restore(tmp_path / "copy", PASS, path, entropy=secrets.token_bytes).entries == 1
    assert opened(path).get(ONE).salt == SALT
    assert path.stat().st_mode & 0o777 == 0o600


def test_restores_over_an_earlier_state_of_the_same(path: Path, tmp_path: Path) -> None:
    early = path.read_bytes()
    opened(path).put(TWO, KEY, SALT)
    back_up(path, PASS, tmp_path / "copy")
    path.write_bytes(early)
    assert restore(tmp_path / "copy", PASS, path, entropy=secrets.token_bytes).entries == 2
    assert opened(path).manifests() == (ONE, TWO)
    assert restore(tmp_path / "copy", PASS, path, entropy=secrets.token_bytes).entries == 2


def test_refuses_to_overwrite_what_is_newer(path: Path, tmp_path: Path) -> None:
    back_up(path, PASS, tmp_path / "copy")
    opened(path).put(TWO, KEY, SALT)
    newer = path.read_bytes()
    with pytest.raises(
        KeystoreError, match="write 2, expected one no older than what is there, write 3"
    ) as caught:
        restore(tmp_path / "copy", PASS, path, entropy=secrets.token_bytes)
    assert f"mv {path} {path}.old" in caught.value.hint
    assert path.read_bytes() == newer


def test_refuses_to_lose_a_secret_where_two_copies_went_apart(path: Path, tmp_path: Path) -> None:
    back_up(path, PASS, tmp_path / "copy")
    elsewhere = opened(tmp_path / "copy")
    elsewhere.put_secret("a", b"1")
    elsewhere.put_secret("b", b"1")
    opened(path).put(TWO, KEY, SALT)
    with pytest.raises(KeystoreError, match="without 1 of its secrets, such as content/0404"):
        restore(tmp_path / "copy", PASS, path, entropy=secrets.token_bytes)
    elsewhere.put(TWO, SALT, KEY)
    with pytest.raises(KeystoreError, match="without 1 of its secrets"):
        restore(tmp_path / "copy", PASS, path, entropy=secrets.token_bytes)
    assert opened(path).get(TWO).content_key == KEY


def test_refuses_another_keystores_backup_a_damaged_one_and_a_damaged_place(
    path: Path, tmp_path: Path
) -> None:
    opened(tmp_path / "other")
    with pytest.raises(KeystoreError, match="another keystore"):
        restore(tmp_path / "other", PASS, path, entropy=secrets.token_bytes)
    back_up(path, PASS, tmp_path / "copy")
    good = (tmp_path / "copy").read_bytes()
    (tmp_path / "copy").write_bytes(good[:-2] + b"0}")
    with pytest.raises(KeystoreError):
        restore(tmp_path / "copy", PASS, path, entropy=secrets.token_bytes)
    (tmp_path / "copy").write_bytes(good)
    path.write_bytes(good[:50])
    with pytest.raises(KeystoreError, match="in the place that does not open") as caught:
        restore(tmp_path / "copy", PASS, path, entropy=secrets.token_bytes)
    assert "mv " in caught.value.hint
    path.unlink()
    restore(tmp_path / "copy", PASS, path, entropy=secrets.token_bytes)


def test_refuses_a_backup_that_others_may_read(path: Path, tmp_path: Path) -> None:
    back_up(path, PASS, tmp_path / "copy")
    (tmp_path / "copy").chmod(0o644)
    with pytest.raises(KeystoreError) as caught:
        restore(tmp_path / "copy", PASS, tmp_path / "new", entropy=secrets.token_bytes)
    assert caught.value.hint == f"chmod 600 {tmp_path / 'copy'}"


def test_rotation_wraps_anew_and_changes_no_secret(path: Path) -> None:
    store = opened(path)
    store.put_secret("a", b"1")
    before = load(path)
    assert store.rotate("another", cost=WEAK) == 2
    after = load(path)
    assert before.head.salt != after.head.salt and after.head.serial == before.head.serial + 1
    assert store.get(ONE).content_key == KEY
    assert opened(path, "another").get_secret("a") == b"1"
    assert {entry.version for entry in after.open(store._keys).values()} == {2}
    with pytest.raises(KeystoreError, match="does not open"):
        opened(path)


def test_a_holder_of_the_old_key_is_told_to_start_again(path: Path) -> None:
    broker, owner = opened(path), opened(path)
    owner.rotate("another", cost=WEAK)
    with pytest.raises(KeystoreError, match="passphrase") as caught:
        broker.content_key(ONE)
    assert "cloister keys passphrase" in caught.value.hint


def test_restores_a_backup_of_before_another_passphrase(path: Path, tmp_path: Path) -> None:
    back_up(path, PASS, tmp_path / "copy")
    path.unlink()
    with pytest.raises(KeystoreError, match="passphrase"):
        restore(tmp_path / "copy", "another", path, entropy=secrets.token_bytes)
    assert not path.exists()
    done = restore(tmp_path / "copy", "another", path, entropy=secrets.token_bytes, opens_with=PASS)
    assert (done.entries, done.serial) == (1, 3)
    assert opened(path, "another").get(ONE).content_key == KEY
    assert opened(path, "another").serial == 3


def test_rotation_that_is_refused_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(BadInputError, match="passphrase"):
        opened(path).rotate("", cost=WEAK)
    assert path.read_bytes() == before


def test_replaced_content_keeps_its_key(path: Path) -> None:
    store = opened(path)
    with pytest.raises(NotFoundError):
        store.mark_replaced(TWO, ONE)
    assert store.replaced_by(ONE) is None
    store.mark_replaced(ONE, TWO)
    store.mark_replaced(ONE, TWO)
    assert store.replaced_by(ONE) == TWO
    assert store.get(ONE).content_key == KEY and store.manifests() == (ONE,)
    with pytest.raises(BadInputError, match="still free"):
        store.mark_replaced(ONE, KEY)


def test_sealed_without_a_manifest(path: Path) -> None:
    store = opened(path)
    store.keep_sealed(TWO, bytearray(KEY), SALT)
    assert store.sealed_secret(TWO).content_key == KEY
    with pytest.raises(NotFoundError):
        store.sealed_secret(ONE)


def test_lent_secrets_are_zeroed(path: Path) -> None:
    store = opened(path)
    with store.lend("content/" + ONE.hex()) as secret:
        assert secret == KEY + SALT
    assert secret == bytes(64)
    with pytest.raises(NotFoundError), store.lend("none"):
        pass
    wipe(secret)
