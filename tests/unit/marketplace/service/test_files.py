"""Settings and secret files are read strictly (marketplace.service.settings, keyfiles)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from coincurve import PrivateKey
from eth_account import Account

from enclave_runtime.wire.signatures import address_of
from marketplace.errors import BadInputError, NotFoundError
from marketplace.service.keyfiles import load_signing_key, read_passphrase
from marketplace.service.settings import MAX_SETTINGS_BYTES, Table, load

KEY = bytes(range(1, 33))


def table(tmp_path: Path, text: str) -> Table:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return load(path)


def secret(tmp_path: Path, data: bytes, mode: int = 0o600) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_reads_each_kind_of_value(tmp_path: Path) -> None:
    read = table(
        tmp_path,
        'name = "a"\nfile = "x/y"\nport = 8\nurls = ["u"]\nwho = "0x' + "Ab" * 20 + '"\n[more]\nz = 1\n',
    )
    assert read.text("name") == "a"
    assert read.path("file") == tmp_path / "x/y"
    assert read.integer("port", least=1, most=9) == 8
    assert read.texts("urls") == ("u",)
    assert read.address("who") == b"\xab" * 20
    more = read.table("more")
    assert more.integer("z") == 1
    assert read.integer("other", 5) == 5 and read.maybe_path("no") is None and read.maybe_text("no") is None
    read.done()
    more.done()


@pytest.mark.parametrize(
    ("text", "take"),
    [
        ("", lambda read: read.text("a")),
        ("a = 1", lambda read: read.text("a")),
        ('a = ""', lambda read: read.text("a")),
        ('a = "x"', lambda read: read.integer("a")),
        ("a = true", lambda read: read.integer("a")),
        ("a = 9", lambda read: read.integer("a", most=8)),
        ('a = "b"', lambda read: read.choice("a", ("c",), "c")),
        ("a = [1]", lambda read: read.texts("a")),
        ('a = "0x12"', lambda read: read.address("a")),
        ("a = 1", lambda read: read.table("a")),
        ("mispelt = 1", lambda read: read.done()),
    ],
)
def test_refuses_missing_wrong_and_unknown_values(tmp_path: Path, text: str, take: object) -> None:
    with pytest.raises(BadInputError, match=r"settings\.toml"):
        take(table(tmp_path, text))  # type: ignore[operator]


def test_refuses_files_that_are_no_settings(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load(tmp_path / "absent")
    for text in ("= 1", "a = 1\na = 2", "#" * (MAX_SETTINGS_BYTES + 1)):
        with pytest.raises(BadInputError):
            table(tmp_path, text)


@pytest.mark.parametrize("text", [KEY.hex(), "0x" + KEY.hex() + "\n"])
def test_loads_a_raw_key(tmp_path: Path, text: str) -> None:
    key = load_signing_key(secret(tmp_path, text.encode()))
    assert address_of(key) == address_of(PrivateKey(KEY))


def test_loads_an_encrypted_keystore_with_its_passphrase_only(tmp_path: Path) -> None:
    keystore = Account.encrypt(KEY, "pass", kdf="pbkdf2", iterations=2)
    path = secret(tmp_path, json.dumps(keystore).encode())
    good, bad = tmp_path / "good", tmp_path / "bad"
    for file, text in ((good, "pass\n"), (bad, "word\n")):
        file.write_text(text)
        file.chmod(0o600)
    assert load_signing_key(path, good).secret == KEY
    for passphrase in (bad, None):
        with pytest.raises(BadInputError) as caught:
            load_signing_key(path, passphrase)
        assert "word" not in str(caught.value) and KEY.hex() not in str(caught.value)


@pytest.mark.parametrize("data", [b"abc", KEY, KEY.hex().encode() + b"00", b"00" * 32, b"x" * 20_000, b""])
def test_refuses_what_is_no_key_and_never_repeats_it(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInputError) as caught:
        load_signing_key(secret(tmp_path, data))
    assert len(data) < 10 or data[:16].hex() not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_refuses_a_secret_that_others_can_read(tmp_path: Path, mode: int) -> None:
    with pytest.raises(BadInputError, match="only its owner") as caught:
        load_signing_key(secret(tmp_path, KEY.hex().encode(), mode))
    assert "chmod 600" in caught.value.hint


def test_refuses_a_directory_a_missing_file_and_a_passphrase_of_two_lines(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises((BadInputError, NotFoundError)):
        load_signing_key(tmp_path / "folder")
    with pytest.raises(NotFoundError):
        load_signing_key(tmp_path / "absent")
    with pytest.raises(BadInputError):
        read_passphrase(secret(tmp_path, b"one\ntwo\n"))
