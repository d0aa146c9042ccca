"""Signing keys and passphrases from files that only their owner can read.

Secrets come from files alone: never from settings, arguments or the environment, where others can see them.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from coincurve import PrivateKey

from marketplace.errors import BadInputError, NotFoundError

__all__ = ["MAX_SECRET_BYTES", "load_signing_key", "read_passphrase", "read_secret"]

MAX_SECRET_BYTES = 16 << 10


def read_secret(path: Path) -> bytes:
    """Return the contents of a file that nobody but its owner may read.

    Raises:
        NotFoundError: no such file.
        BadInputError: not a regular file, readable by others, empty or too large.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NotFoundError(f"secret file {path}: {error.strerror}") from error
    try:
        _check_mode(path, os.fstat(descriptor).st_mode)
        data = os.read(descriptor, MAX_SECRET_BYTES + 1)
    finally:
        os.close(descriptor)
    if not 0 < len(data) <= MAX_SECRET_BYTES:
        raise BadInputError(f"secret file {path}", f"{len(data)} bytes", f"1 to {MAX_SECRET_BYTES}")
    return data


def read_passphrase(path: Path) -> str:
    """Return the passphrase in the file at `path`: its first and only line, without the line's end.

    Raises:
        NotFoundError, BadInputError: as `read_secret`, or something else than one line of UTF-8.
    """
    data = read_secret(path).removesuffix(b"\n").removesuffix(b"\r")
    try:
        if not data or b"\n" in data:
            raise ValueError
        return data.decode()
    except ValueError:
        raise BadInputError(f"passphrase file {path}", "no line, or several", "one line of text") from None


def load_signing_key(path: Path, passphrase_file: Path | None = None) -> PrivateKey:
    """Return the secp256k1 key in the file at `path`: 64 hex digits, or an encrypted Ethereum keystore.

    Raises:
        NotFoundError, BadInputError: as `read_secret`; neither form; a keystore without its passphrase
            or with a wrong one.
    """
    data = read_secret(path)
    if data.lstrip().startswith(b"{"):
        return PrivateKey(_decrypt(path, data, passphrase_file))
    text = data.decode("ascii", "replace").strip().removeprefix("0x")
    try:
        if len(text) != 64:
            raise ValueError
        return PrivateKey(bytes.fromhex(text))
    except ValueError:
        raise BadInputError(
            f"key file {path}", "something else", "64 hex digits or an Ethereum keystore"
        ) from None


def _check_mode(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise BadInputError(f"secret file {path}", "something else than a file", "a regular file")
    if mode & 0o077:
        raise BadInputError(
            f"secret file {path}",
            f"mode {stat.S_IMODE(mode):04o}",
            "a file that only its owner can read",
            hint=f"chmod 600 {path}",
        )


def _decrypt(path: Path, data: bytes, passphrase_file: Path | None) -> bytes:
    if passphrase_file is None:
        raise BadInputError(
            f"key file {path}", "an encrypted keystore", "a passphrase file beside it in the settings"
        )
    from eth_account import Account  # 0.2 s, and only encrypted keys need it

    try:
        return bytes(Account.decrypt(json.loads(data), read_passphrase(passphrase_file)))
    except (ValueError, KeyError, TypeError):
        raise BadInputError(
            f"key file {path}", "a passphrase that does not open it", "the right one"
        ) from None
