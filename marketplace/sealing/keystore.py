"""The owner's keystore: content keys at rest, under a passphrase (docs/protocol.md section 5.3).

One file, canonical JSON: how the key is derived (scrypt), and all secrets in one AES-256-GCM ciphertext that
binds those parameters. Every write has a new nonce and replaces the file at once. It is read again for every
answer, so a broker that runs sees what its owner sealed meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from enclave_runtime.sealed.buffers import Entropy
from enclave_runtime.wire.canonical import Json, JsonObject, dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.errors import WireError
from marketplace.errors import BadInputError, MarketError, NotFoundError

__all__ = ["DEFAULT_COST", "ContentSecret", "KeyStore", "KeystoreError", "ScryptCost"]

_VERSION: Final = 1
_MAX_FILE_BYTES: Final = 16 << 20
_NAME: Final = re.compile(r"[a-z0-9./-]{1,128}")
_CONTENT: Final = "content/"
_SECRET_BYTES: Final = 32
_MAX_SECRET_BYTES: Final = 4096


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


@dataclass(frozen=True, slots=True, repr=False)
class ContentSecret:
    """The content key and the salt of one content, 32 bytes each. Prints as its class only."""

    content_key: bytes
    salt: bytes


class KeyStore:
    """An open keystore. Safe for several processes at once."""

    def __init__(self, path: Path, head: JsonObject, key: bytes, entropy: Entropy) -> None:
        """Use `KeyStore.open`."""
        self._path = path
        self._head = head
        self._cipher = AESGCM(key)
        self._entropy = entropy

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        passphrase: str,
        *,
        entropy: Entropy,
        cost: ScryptCost = DEFAULT_COST,
        create: bool = True,
    ) -> KeyStore:
        """Open the keystore at `path`, or make an empty one there.

        Args:
            cost: for a new keystore; an old one keeps its own.
            create: False refuses where there is none yet.
        Raises:
            KeystoreError: wrong passphrase, altered, readable by others, another version.
            NotFoundError: none there, and `create` is False.
            BadInputError: an empty passphrase.
        """
        if not passphrase:
            raise BadInputError("passphrase", "an empty one", "at least one character")
        place = Path(path)
        with _locked(place):
            if not place.exists():
                if not create:
                    raise NotFoundError(f"keystore: got nothing at {place}, expected a keystore")
                return cls._create(place, passphrase, entropy, cost)
        head, _, _ = _load(place)
        store = cls(place, head, _derive(passphrase, head), entropy)
        store._read()
        return store

    @classmethod
    def _create(cls, path: Path, passphrase: str, entropy: Entropy, cost: ScryptCost) -> KeyStore:
        kdf: JsonObject = {
            "name": "scrypt",
            "log2_n": cost.log2_n,
            "r": cost.r,
            "p": cost.p,
            "salt": hex_of(entropy(_SECRET_BYTES)),
        }
        head: JsonObject = {"version": _VERSION, "cipher": "aes-256-gcm", "kdf": kdf}
        store = cls(path, head, _derive(passphrase, head), entropy)
        store._write({})
        return store

    def put(self, manifest_digest: bytes, content_key: bytes, salt: bytes) -> None:
        """Keep the secrets of one content.

        Raises:
            BadInputError: not 32 bytes each, or other secrets are kept for this manifest already.
        """
        for name, value in (
            ("manifest digest", manifest_digest),
            ("content key", content_key),
            ("salt", salt),
        ):
            if len(value) != _SECRET_BYTES:
                raise BadInputError(name, f"{len(value)} bytes", "32 bytes")
        self.put_secret(_CONTENT + manifest_digest.hex(), content_key + salt)

    def get(self, manifest_digest: bytes) -> ContentSecret:
        """Return the secrets of the content with this manifest.

        Raises:
            NotFoundError: not here.
        """
        secret = self.get_secret(_CONTENT + manifest_digest.hex())
        return ContentSecret(secret[:_SECRET_BYTES], secret[_SECRET_BYTES:])

    def content_key(self, manifest_digest: bytes) -> bytes | None:
        """Return content key || salt, 64 bytes, or None: what a key broker seals to a CVM."""
        return self._read().get(_CONTENT + manifest_digest.hex())

    def manifests(self) -> tuple[bytes, ...]:
        """Return the digests of all manifests whose secrets are here, sorted."""
        names = (name for name in self._read() if name.startswith(_CONTENT))
        return tuple(sorted(bytes.fromhex(name.removeprefix(_CONTENT)) for name in names))

    def put_secret(self, name: str, secret: bytes) -> None:
        """Keep any other small secret, such as a client's result key under `result/<order id>`.

        Raises:
            BadInputError: a name other than 1 to 128 of a-z, 0-9, '.', '/', '-', a secret above 4 KiB, or
                another secret is kept under this name already.
        """
        if not _NAME.fullmatch(name) or len(secret) > _MAX_SECRET_BYTES:
            raise BadInputError("secret", f"name {name[:128]!r}", "a plain name, and at most 4096 bytes")
        with _locked(self._path):
            secrets = dict(self._read())
            if secrets.setdefault(name, secret) != secret:
                raise BadInputError("secret", f"another one for {name!r}", "a name that is still free")
            self._write(secrets)

    def get_secret(self, name: str) -> bytes:
        """Return the secret kept under `name`.

        Raises:
            NotFoundError: not here.
        """
        secret = self._read().get(name)
        if secret is None:
            raise NotFoundError(f"keystore: got no secret named {name[:128]!r}, expected one")
        return secret

    def _read(self) -> Mapping[str, bytes]:
        head, nonce, sealed = _load(self._path)
        try:
            if head != self._head:
                raise InvalidTag
            plain = self._cipher.decrypt(nonce, sealed, dump(head))
        except InvalidTag:
            raise KeystoreError(
                f"keystore {self._path}: got one that does not open, expected the right passphrase and file",
                hint="check the passphrase; if it is right, the file was altered: use a backup",
            ) from None
        value = parse_object(plain, limit=_MAX_FILE_BYTES)
        return {name: bytes_from_hex(secret) for name, secret in value.items()}

    def _write(self, secrets: Mapping[str, bytes]) -> None:
        plain = dump({name: hex_of(secret) for name, secret in secrets.items()})
        nonce = self._entropy(12)
        sealed = self._cipher.encrypt(nonce, plain, dump(self._head))
        data = dump({**self._head, "nonce": hex_of(nonce), "sealed": hex_of(sealed)})
        if len(data) > _MAX_FILE_BYTES:
            raise KeystoreError(f"keystore: got {len(data)} bytes, expected at most {_MAX_FILE_BYTES}")
        _replace(self._path, data)


def _derive(passphrase: str, head: JsonObject) -> bytes:
    kdf = head["kdf"]
    assert isinstance(kdf, dict)
    cost = ScryptCost(_integer(kdf["log2_n"]), _integer(kdf["r"]), _integer(kdf["p"]))
    scrypt = Scrypt(bytes_from_hex(kdf["salt"], 32), length=32, n=1 << cost.log2_n, r=cost.r, p=cost.p)
    return scrypt.derive(unicodedata.normalize("NFC", passphrase).encode())


def _load(path: Path) -> tuple[JsonObject, bytes, bytes]:
    """Return head, nonce and ciphertext of the file, all within limits."""
    data = _read_private(path)
    try:
        value = parse_object(data, limit=_MAX_FILE_BYTES)
        nonce, sealed = (
            bytes_from_hex(value.pop("nonce", None), 12),
            bytes_from_hex(value.pop("sealed", None)),
        )
        kdf = value.get("kdf")
        if (
            not isinstance(kdf, dict)
            or set(kdf) != {"name", "log2_n", "r", "p", "salt"}
            or kdf["name"] != "scrypt"
        ):
            raise WireError("got other key derivation than scrypt")
        if value != {"version": _VERSION, "cipher": "aes-256-gcm", "kdf": kdf}:
            raise WireError(f"got another version or cipher, expected version {_VERSION}")
        ScryptCost(_integer(kdf["log2_n"]), _integer(kdf["r"]), _integer(kdf["p"]))
        bytes_from_hex(kdf["salt"], _SECRET_BYTES)
    except (WireError, BadInputError) as error:
        raise KeystoreError(f"keystore {path}: {error}") from error
    return value, nonce, sealed


def _integer(value: Json) -> int:
    if type(value) is not int:
        raise WireError("got something else than an integer")
    return value


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise KeystoreError(f"keystore {path}: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise KeystoreError(
                f"keystore {path}: got mode {stat.filemode(found.st_mode)} of user {found.st_uid}, "
                f"expected a file of user {os.geteuid()} that nobody else may read",
                hint=f"chmod 600 {path}",
            )
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)


def _replace(path: Path, data: bytes) -> None:
    """Write the file aside, sync it, and let it take the old one's place at once."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(aside, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the keystore's lock, a file beside it: the keystore itself is replaced by every write."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
