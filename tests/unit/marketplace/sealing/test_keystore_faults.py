"""A keystore that was altered, cut short or half written (docs/protocol.md sections 5.3 and 10)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.wire.canonical import dump, parse_object
from marketplace.errors import NotFoundError
from marketplace.sealing import keycopies, keyfile
from marketplace.sealing.disk import DiskError
from marketplace.sealing.keyfile import Entry, load
from marketplace.sealing.keystore import KeyStore, KeystoreError, ScryptCost

WEAK = ScryptCost(log2_n=14)
PASS = "correct horse"
OLD, NEW = b"\x01" * 32, b"\x04" * 32


def opened(path: Path, passphrase: str = PASS) -> KeyStore:
    return KeyStore.open(path, passphrase, entropy=secrets.token_bytes, cost=WEAK)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[KeyStore, Path, bytes]:
    """Give an open keystore with two entries, its path and its bytes: opening runs scrypt only once."""
    path = tmp_path_factory.mktemp("shared") / "keystore.json"
    store = opened(path)
    store.put(OLD, secrets.token_bytes(32), secrets.token_bytes(32))
    store.put_secret("result/" + "ab" * 32, b"private key")
    return store, path, path.read_bytes()


def refused(store: KeyStore, path: Path, data: bytes) -> bool:
    path.write_bytes(data)
    try:
        store.check()
    except KeystoreError as error:
        assert error.hint
        return True
    return False


def test_refuses_every_byte_flipped(shared: tuple[KeyStore, Path, bytes]) -> None:
    store, path, good = shared
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1 << (at % 8)
        assert refused(store, path, bytes(bad)), at
    assert not refused(store, path, good)


def test_refuses_every_truncation(shared: tuple[KeyStore, Path, bytes]) -> None:
    store, path, good = shared
    for length in range(len(good)):
        assert refused(store, path, good[:length]), length
    for more in (b" ", b"\n", b"}", good):
        assert refused(store, path, good + more)
    assert not refused(store, path, good)


@settings(max_examples=50)
@given(at=st.integers(0, 10_000), length=st.integers(1, 64), junk=st.binary(max_size=64))
def test_refuses_bytes_put_in_place_of_others(
    shared: tuple[KeyStore, Path, bytes], at: int, length: int, junk: bytes
) -> None:
    store, path, good = shared
    at %= len(good)
    bad = good[:at] + junk + good[at + length :]
    assert bad == good or refused(store, path, bad)


def test_refuses_an_entry_under_another_name_or_version(shared: tuple[KeyStore, Path, bytes]) -> None:
    store, path, good = shared
    path.write_bytes(good)
    snapshot = load(path)
    entries = snapshot.open(store._keys)
    name = "result/" + "ab" * 32
    for bad in (
        {name: entries["content/" + OLD.hex()]},
        {name: Entry(2, entries[name].nonce, entries[name].sealed)},
        {name: Entry(1, bytes(12), entries[name].sealed)},
    ):
        path.write_bytes(store._keys.close(snapshot.head, bad, secrets.token_bytes))
        with pytest.raises(KeystoreError, match="does not open"):
            store.get_secret(name)
        with pytest.raises(KeystoreError, match="does not open"):
            store.check()
    path.write_bytes(good)


def test_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "keystore.json"
    opened(path)
    good = path.read_bytes()
    value = parse_object(good)
    sealed = str(value["sealed"])
    altered = dump({**value, "sealed": sealed[:-1] + ("0" if sealed[-1] != "0" else "1")})
    for data, got, todo in (
        (b"", "0 bytes that end in the middle", "cut short"),
        (good[:-1], "end in the middle", "cut short"),
        (altered, "altered", "the passphrase is right"),
        (dump({**value, "version": 1}), "version 1", "keys restore"),
    ):
        path.write_bytes(data)
        with pytest.raises(KeystoreError, match=got) as caught:
            opened(path)
        assert todo in caught.value.hint and "cloister keys restore" in caught.value.hint
    path.write_bytes(good)
    with pytest.raises(KeystoreError, match="passphrase that does not open") as caught:
        opened(path, "another")
    assert "check it" in caught.value.hint


def dying(patch: pytest.MonkeyPatch, number: int) -> None:
    """Let the `number`th call that writes, and all after it, fail."""
    seen = 0

    def wrap(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen > number:
                raise OSError("killed")
            return real(*arguments, **named)

        return call

    for name in ("open", "fsync", "rename", "link", "unlink"):
        patch.setattr(os, name, wrap(getattr(os, name)))


@pytest.mark.parametrize("act", ["put", "rotate", "backup", "restore"])
def test_crash_at_any_step_of_a_write_leaves_old_or_new(act: str, tmp_path: Path) -> None:
    path, copy, newer = tmp_path / "keystore.json", tmp_path / "copy.json", tmp_path / "newer.json"
    store = opened(path)
    store.put(OLD, bytes(32), bytes(32))
    old = path.read_bytes()
    store.put(NEW, bytes(32), bytes(32))
    keycopies.back_up(path, PASS, newer)
    keys = store._keys
    actions: dict[str, Callable[[], object]] = {
        "put": lambda: store.put(NEW, bytes(32), bytes(32)),
        "rotate": lambda: store.rotate("another", cost=WEAK),
        "backup": lambda: keycopies.back_up(path, PASS, copy),
        "restore": lambda: keycopies.restore(newer, PASS, path, entropy=secrets.token_bytes),
    }
    changed = set()
    for number in range(40):
        path.write_bytes(old)
        copy.unlink(missing_ok=True)
        store._keys = keys
        with pytest.MonkeyPatch.context() as patch:
            dying(patch, number)
            try:
                actions[act]()
                done = True
            except (DiskError, KeystoreError):
                done = False
        assert not copy.exists() or copy.read_bytes() == old
        changed.add(path.read_bytes() != old or copy.exists())
        if path.read_bytes() != old:  # then it is whole: everything in it opens
            there = KeyStore.open(path, "another" if act == "rotate" else PASS, entropy=os.urandom)
            assert there.manifests() == ((OLD,) if act == "rotate" else (OLD, NEW))
            assert there.check() == len(there.names())
        if done:
            break
    else:
        raise AssertionError("never done")
    assert changed == {False, True}


def test_a_leftover_of_a_killed_write_is_ignored_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keystore.json"
    store = opened(path)
    (tmp_path / "keystore.json.new").write_bytes(b"half")
    assert opened(path).manifests() == ()
    store.put(OLD, bytes(32), bytes(32))
    assert sorted(os.listdir(tmp_path)) == ["keystore.json", "keystore.json.lock"]


def test_another_keystore_in_the_place_is_told(tmp_path: Path) -> None:
    first, second = opened(tmp_path / "a"), opened(tmp_path / "b")
    (tmp_path / "a").write_bytes((tmp_path / "b").read_bytes())
    with pytest.raises(KeystoreError, match="another keystore"):
        first.manifests()
    assert second.manifests() == ()


def test_nothing_there_says_how_to_get_it_back(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        KeyStore.open(tmp_path / "none", PASS, entropy=secrets.token_bytes, create=False)
    assert "cloister keys restore" in caught.value.hint


def test_a_file_beyond_the_limit_is_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = opened(tmp_path / "keystore.json")
    monkeypatch.setattr(keyfile, "_MAX_FILE_BYTES", 1000)
    with pytest.raises(KeystoreError, match="at most 1000"):
        store.put_secret("a", bytes(1000))
    assert store.names() == ()
