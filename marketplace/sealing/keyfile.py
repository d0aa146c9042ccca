"""The keystore's file, version 2: how a passphrase becomes keys, and what they close (protocol section 5.3).

    file   = canonical JSON {version, cipher, id, serial, kdf, check, nonce, sealed}
    master = scrypt(passphrase in NFC, kdf.salt; N, r, p from kdf), 32 bytes
    sealed = AES-256-GCM under HKDF(master, "file"), with all of the file before `nonce` as associated data
    inside = canonical JSON {name: entry};  entry = version u32 || nonce (12) || ciphertext || tag (16)
    entry  = AES-256-GCM under HKDF(master, "entry"), with {name, version} as associated data

The outer layer hides which contents and orders the entries are for, and makes them one whole. The inner one
keeps each secret closed until it is asked for. `check` tells a wrong passphrase from an altered file.
`serial` rises with every write: a backup knows that it is old.
"""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from enclave_runtime.sealed.buffers import Entropy
from enclave_runtime.sealed.locked import LockedBuffer
from enclave_runtime.wire.canonical import Json, JsonObject, dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.errors import WireError
from marketplace.errors import BadInputError, MarketError
from marketplace.sealing.privatefile import PrivateFileError, read_private

__all__ = [
    "DEFAULT_COST",
    "Entry",
    "Head",
    "Keys",
    "KeystoreError",
    "ScryptCost",
    "Snapshot",
    "load",
]

_VERSION: Final = 2
_CIPHER: Final = "aes-256-gcm"
_MAX_FILE_BYTES: Final = 64 << 20
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_USE_BACKUP: Final = "restore a backup with `cloister keys restore`"


class KeystoreError(MarketError):
    """The keystore cannot be used: wrong passphrase, altered, readable by others, or of another version."""


@dataclass(frozen=True, slots=True)
class ScryptCost:
    """How dear a guess of the passphrase is: memory is 128 x n x r bytes.

    Attributes:
        log2_n: 14 to 20.
        r, p: block size and parallelism.
    """

    log2_n: int = 17
    r: int = 8
    p: int = 1

    def __post_init__(self) -> None:
        """Refuse what is too weak to protect or too dear to open.

        Raises:
            BadInputError: outside the limits.
        """
        if not (14 <= self.log2_n <= 20 and 8 <= self.r <= 16 and 1 <= self.p <= 4):
            got = f"2^{self.log2_n}, r {self.r}, p {self.p}"
            raise BadInputError("scrypt cost", got, "2^14 to 2^20, r 8 to 16, p 1 to 4")


DEFAULT_COST: Final = ScryptCost()
"""128 MiB and about a third of a second."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the file says in the clear, all of it authenticated.

    Attributes:
        store_id: 16 random bytes, the same in every backup of one keystore.
        serial: number of the write.
        salt: of scrypt, 32 bytes; new with every passphrase.
        check: 16 bytes that only the right passphrase gives.
    """

    store_id: bytes
    serial: int
    cost: ScryptCost
    salt: bytes
    check: bytes

    def to_json(self) -> JsonObject:
        """Return the members of the file before `nonce`."""
        kdf: JsonObject = {
            "name": "scrypt",
            "log2_n": self.cost.log2_n,
            "r": self.cost.r,
            "p": self.cost.p,
            "salt": hex_of(self.salt),
        }
        return {
            "version": _VERSION,
            "cipher": _CIPHER,
            "id": hex_of(self.store_id),
            "serial": self.serial,
            "kdf": kdf,
            "check": hex_of(self.check),
        }

    @classmethod
    def from_json(cls, value: JsonObject) -> Head:
        """Return the head in `value`.

        Raises:
            WireError, BadInputError: other members, version or cipher, or a cost outside the limits.
        """
        if value.get("version") != _VERSION or value.get("cipher") != _CIPHER:
            raise WireError(f"got version {value.get('version')!r:.20}, expected {_VERSION} with {_CIPHER}")
        kdf = value.get("kdf")
        members = {"version", "cipher", "id", "serial", "kdf", "check"}
        if set(value) != members or not isinstance(kdf, dict) or kdf.get("name") != "scrypt":
            raise WireError("got other members, expected those of a keystore with scrypt")
        if set(kdf) != {"name", "log2_n", "r", "p", "salt"}:
            raise WireError("got other parameters, expected those of scrypt")
        return cls(
            bytes_from_hex(value["id"], _ID_BYTES),
            _integer(value["serial"]),
            ScryptCost(_integer(kdf["log2_n"]), _integer(kdf["r"]), _integer(kdf["p"])),
            bytes_from_hex(kdf["salt"], _KEY_BYTES),
            bytes_from_hex(value["check"], 16),
        )


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One wrapped secret. Prints as its class only.

    Attributes:
        version: rises each time that the secret is wrapped anew.
    """

    version: int
    nonce: bytes
    sealed: bytes

    def to_text(self) -> str:
        """Return the entry as hex."""
        return hex_of(self.version.to_bytes(4, "big") + self.nonce + self.sealed)

    @classmethod
    def from_text(cls, text: Json) -> Entry:
        """Return the entry in `text`.

        Raises:
            WireError: too short to be one.
        """
        data = bytes_from_hex(text)
        if len(data) < 4 + _NONCE_BYTES + _TAG_BYTES:
            raise WireError(f"entry: got {len(data)} bytes")
        return cls(int.from_bytes(data[:4], "big"), data[4:16], data[16:])


class Keys:
    """What one passphrase becomes under one salt: the key of the file, and the key of its entries."""

    def __init__(self, passphrase: str, cost: ScryptCost, salt: bytes) -> None:
        """Run scrypt.

        Raises:
            BadInputError: an empty passphrase.
        """
        if not passphrase:
            raise BadInputError("passphrase", "an empty one", "at least one character")
        scrypt = Scrypt(salt, length=_KEY_BYTES, n=1 << cost.log2_n, r=cost.r, p=cost.p)
        with LockedBuffer(_KEY_BYTES) as master, LockedBuffer(_KEY_BYTES) as key:
            scrypt.derive_into(unicodedata.normalize("NFC", passphrase).encode(), master.view())
            self.check = _expand(master.view(), b"check", 16)
            _expand_into(master.view(), b"file", key.view())
            self._file = AESGCM(key.view())
            _expand_into(master.view(), b"entry", key.view())
            self._entry = AESGCM(key.view())
        self.cost, self.salt = cost, salt

    def opens(self, head: Head) -> bool:
        """Return whether this is the passphrase that `head` was made with."""
        return (
            self.salt == head.salt and self.cost == head.cost and hmac.compare_digest(self.check, head.check)
        )

    def wrap(self, name: str, version: int, secret: bytes | bytearray, entropy: Entropy) -> Entry:
        """Return `secret` closed under its name and version."""
        nonce = entropy(_NONCE_BYTES)
        return Entry(version, nonce, self._entry.encrypt(nonce, secret, _bound(name, version)))

    def unwrap(self, name: str, entry: Entry) -> bytearray:
        """Return the secret of an entry, for the caller to wipe.

        Raises:
            KeystoreError: it is another entry's, or was altered.
        """
        out = bytearray(len(entry.sealed) - _TAG_BYTES)
        try:
            self._entry.decrypt_into(entry.nonce, entry.sealed, _bound(name, entry.version), out)
        except InvalidTag:
            raise KeystoreError(
                f"keystore: got an entry {name[:128]!r} that does not open, expected one of this name",
                hint=_USE_BACKUP,
            ) from None
        return out

    def open(self, head: Head, nonce: bytes, sealed: bytes) -> bytes:
        """Return what is inside of a file: entries, each still wrapped.

        Raises:
            InvalidTag: altered.
        """
        return self._file.decrypt(nonce, sealed, dump(head.to_json()))

    def close(self, head: Head, entries: Mapping[str, Entry], entropy: Entropy) -> bytes:
        """Return the bytes of a file.

        Raises:
            KeystoreError: more than 64 MiB.
        """
        nonce, clear = entropy(_NONCE_BYTES), head.to_json()
        inside = dump({name: entry.to_text() for name, entry in entries.items()})
        sealed = self._file.encrypt(nonce, inside, dump(clear))
        data = dump({**clear, "nonce": hex_of(nonce), "sealed": hex_of(sealed)})
        if len(data) > _MAX_FILE_BYTES:
            raise KeystoreError(f"keystore: got {len(data)} bytes, expected at most {_MAX_FILE_BYTES}")
        return data


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """A file as it was read, still closed.

    Attributes:
        data: all of its bytes.
    """

    path: Path
    head: Head
    nonce: bytes
    sealed: bytes
    data: bytes

    def open(self, keys: Keys) -> dict[str, Entry]:
        """Return the entries by name, each still wrapped.

        Raises:
            KeystoreError: another passphrase, or an altered file.
        """
        if not keys.opens(self.head):
            raise KeystoreError(
                f"keystore {self.path}: got a passphrase that does not open it, expected its own",
                hint="check it; `cloister keys passphrase` changes it, but not for old backups",
            )
        try:
            inside = keys.open(self.head, self.nonce, self.sealed)
            value = parse_object(inside, limit=_MAX_FILE_BYTES)
            return {name: Entry.from_text(text) for name, text in value.items()}
        except (InvalidTag, WireError):
            raise KeystoreError(
                f"keystore {self.path}: got bytes that were altered, expected what was written",
                hint=f"the passphrase is right, the file is damaged: {_USE_BACKUP}",
            ) from None


def load(path: Path) -> Snapshot:
    """Read the file at `path`, all within limits; nothing is opened.

    Raises:
        KeystoreError: readable by others, cut short, altered, or of another version; says what to do.
    """
    try:
        data = read_private(path, _MAX_FILE_BYTES)
    except PrivateFileError as error:
        raise KeystoreError(f"keystore {error}", hint=error.hint) from error
    if not data.endswith(b"}"):
        raise KeystoreError(
            f"keystore {path}: got {len(data)} bytes that end in the middle, expected a whole file",
            hint=f"it was cut short, or is something else: {_USE_BACKUP}",
        )
    try:
        value = parse_object(data, limit=_MAX_FILE_BYTES)
        nonce = bytes_from_hex(value.pop("nonce", None), _NONCE_BYTES)
        sealed = bytes_from_hex(value.pop("sealed", None))
        return Snapshot(path, Head.from_json(value), nonce, sealed, data)
    except (WireError, BadInputError) as error:
        raise KeystoreError(f"keystore {path}: {error}", hint=f"it is damaged: {_USE_BACKUP}") from error


def _bound(name: str, version: int) -> bytes:
    return dump({"name": name, "version": version})


def _expand_into(master: memoryview, what: bytes, out: memoryview) -> None:
    HKDFExpand(SHA256(), length=len(out), info=b"cloister:keystore-" + what + b"/v2").derive_into(master, out)


def _expand(master: memoryview, what: bytes, length: int) -> bytes:
    out = bytearray(length)
    _expand_into(master, what, memoryview(out))
    return bytes(out)


def _integer(value: Json) -> int:
    if type(value) is not int or value < 0:
        raise WireError("got something else than a whole number")
    return value
