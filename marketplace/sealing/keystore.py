"""The owner's keystore: content keys at rest, under a passphrase (docs/protocol.md section 5.3).

One file (`keyfile` has its form), replaced at once by every write. It is read again for every answer, so a
broker that runs sees what its owner sealed meanwhile.

    content/<manifest digest>    content key || salt of one content
    sealed/<ciphertext digest>   the same, of what is sealed and has no manifest yet
    replaced/<manifest digest>   manifest digest of the content that took this one's place
    result/<order id>            private key of an order's result
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_runtime.sealed.buffers import Entropy
from enclave_runtime.sealed.locked import wipe
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sealing.keyfile import DEFAULT_COST, Entry, Head, Keys, KeystoreError, ScryptCost, load
from marketplace.sealing.privatefile import hold_lock, replace_private

__all__ = ["DEFAULT_COST", "ContentSecret", "KeyStore", "KeystoreError", "ScryptCost"]

_NAME: Final = re.compile(r"[a-z0-9./-]{1,128}")
_CONTENT: Final = "content/"
_REPLACED: Final = "replaced/"
_SEALED: Final = "sealed/"
_SECRET_BYTES: Final = 32
_MAX_SECRET_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, repr=False)
class ContentSecret:
    """The content key and the salt of one content, 32 bytes each. Prints as its class only."""

    content_key: bytes
    salt: bytes


class KeyStore:
    """An open keystore. Safe for several processes at once."""

    def __init__(self, path: Path, keys: Keys, store_id: bytes, entropy: Entropy) -> None:
        """Use `KeyStore.open`."""
        self._path = path
        self._keys = keys
        self._id = store_id
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
        place = Path(path)
        with hold_lock(place):
            if not os.path.lexists(place):
                if not create:
                    raise NotFoundError(
                        f"keystore: got nothing at {place}, expected a keystore",
                        hint="restore a backup with `cloister keys restore`, or name another in the profile",
                    )
                keys = Keys(passphrase, cost, entropy(_SECRET_BYTES))
                made = cls(place, keys, entropy(16), entropy)
                made._write(0, {})
                return made
        snapshot = load(place)
        keys = Keys(passphrase, snapshot.head.cost, snapshot.head.salt)
        snapshot.open(keys)
        return cls(place, keys, snapshot.head.store_id, entropy)

    # ------------------------------------------------------------------------------------------- contents
    def put(self, manifest_digest: bytes, content_key: bytes | bytearray, salt: bytes) -> None:
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
        self.put_secret(_CONTENT + manifest_digest.hex(), bytes(content_key) + salt)

    def get(self, manifest_digest: bytes) -> ContentSecret:
        """Return the secrets of the content with this manifest.

        Raises:
            NotFoundError: not here.
        """
        secret = self.get_secret(_CONTENT + manifest_digest.hex())
        return ContentSecret(secret[:_SECRET_BYTES], secret[_SECRET_BYTES:])

    def content_key(self, manifest_digest: bytes) -> bytes | None:
        """Return content key || salt, 64 bytes, or None: what a key broker seals to a CVM."""
        return self._find(_CONTENT + manifest_digest.hex())

    def manifests(self) -> tuple[bytes, ...]:
        """Return the digests of all manifests whose secrets are here, sorted."""
        names = (name for name in self._read()[1] if name.startswith(_CONTENT))
        return tuple(sorted(bytes.fromhex(name.removeprefix(_CONTENT)) for name in names))

    def keep_sealed(self, ciphertext_digest: bytes, content_key: bytes | bytearray, salt: bytes) -> None:
        """Keep the secrets of a sealed stream that has no manifest yet; raises as `put_secret`."""
        self.put_secret(_SEALED + ciphertext_digest.hex(), bytes(content_key) + salt)

    def sealed_secret(self, ciphertext_digest: bytes) -> ContentSecret:
        """Return what `keep_sealed` kept.

        Raises:
            NotFoundError: it was sealed elsewhere.
        """
        secret = self.get_secret(_SEALED + ciphertext_digest.hex())
        return ContentSecret(secret[:_SECRET_BYTES], secret[_SECRET_BYTES:])

    def mark_replaced(self, manifest_digest: bytes, by: bytes) -> None:
        """Note that the content `by` took the place of another, whose key stays for orders that run.

        Raises:
            NotFoundError: no such content here.
            BadInputError: a third one took its place already.
        """
        self.get_secret(_CONTENT + manifest_digest.hex())
        self.put_secret(_REPLACED + manifest_digest.hex(), by)

    def replaced_by(self, manifest_digest: bytes) -> bytes | None:
        """Return the manifest digest of what took this content's place, or None."""
        return self._find(_REPLACED + manifest_digest.hex())

    # ------------------------------------------------------------------------------------------- any secret
    def put_secret(self, name: str, secret: bytes) -> None:
        """Keep any other small secret, such as a client's result key under `result/<order id>`.

        Raises:
            BadInputError: a name other than 1 to 128 of a-z, 0-9, '.', '/', '-', a secret above 4 KiB, or
                another secret is kept under this name already.
        """
        if not _NAME.fullmatch(name) or len(secret) > _MAX_SECRET_BYTES:
            raise BadInputError("secret", f"name {name[:128]!r}", "a plain name, and at most 4096 bytes")
        with hold_lock(self._path):
            head, entries = self._read()
            if name in entries:
                if not self._holds(name, entries[name], secret):
                    raise BadInputError("secret", f"another one for {name!r}", "a name that is still free")
                return
            self._write(head.serial, {**entries, name: self._keys.wrap(name, 1, secret, self._entropy)})

    def get_secret(self, name: str) -> bytes:
        """Return the secret kept under `name`.

        Raises:
            NotFoundError: not here.
        """
        secret = self._find(name)
        if secret is None:
            raise NotFoundError(f"keystore: got no secret named {name[:128]!r}, expected one")
        return secret

    @contextmanager
    def lend(self, name: str) -> Iterator[bytearray]:
        """Give the secret kept under `name` in memory that is zeroed at the end of the block.

        Raises:
            NotFoundError: not here.
        """
        entry = self._read()[1].get(name)
        if entry is None:
            raise NotFoundError(f"keystore: got no secret named {name[:128]!r}, expected one")
        secret = self._keys.unwrap(name, entry)
        try:
            yield secret
        finally:
            wipe(secret)

    def names(self) -> tuple[str, ...]:
        """Return the names of all secrets, sorted."""
        return tuple(sorted(self._read()[1]))

    # ------------------------------------------------------------------------------------------- the whole
    @property
    def serial(self) -> int:
        """Number of the last write."""
        return self._read()[0].serial

    def check(self) -> int:
        """Open every entry and return how many there are.

        Raises:
            KeystoreError: the file or one of them does not open.
        """
        entries = self._read()[1]
        for name, entry in entries.items():
            wipe(self._keys.unwrap(name, entry))
        return len(entries)

    def rotate(self, passphrase: str, *, cost: ScryptCost = DEFAULT_COST) -> int:
        """Wrap every entry anew under another passphrase and salt, in one write; return how many.

        No content is sealed again: what the entries hold stays as it is. Brokers that hold the keystore open
        are to be started again with the new passphrase; backups open with the old one.

        Raises:
            KeystoreError: an entry does not open; nothing was changed.
            BadInputError: an empty passphrase.
        """
        keys = Keys(passphrase, cost, self._entropy(_SECRET_BYTES))
        with hold_lock(self._path):
            head, old = self._read()
            new = {name: self._rewrap(keys, name, entry) for name, entry in old.items()}
            self._write(head.serial, new, keys)
            self._keys = keys
        return len(new)

    def _rewrap(self, keys: Keys, name: str, entry: Entry) -> Entry:
        secret = self._keys.unwrap(name, entry)
        try:
            return keys.wrap(name, entry.version + 1, secret, self._entropy)
        finally:
            wipe(secret)

    def _find(self, name: str) -> bytes | None:
        entry = self._read()[1].get(name)
        if entry is None:
            return None
        secret = self._keys.unwrap(name, entry)
        found = bytes(secret)
        wipe(secret)
        return found

    def _holds(self, name: str, entry: Entry, secret: bytes) -> bool:
        kept = self._keys.unwrap(name, entry)
        same = kept == secret
        wipe(kept)
        return same

    def _read(self) -> tuple[Head, dict[str, Entry]]:
        snapshot = load(self._path)
        if snapshot.head.store_id != self._id:
            raise KeystoreError(
                f"keystore {self._path}: got another keystore in its place, expected the one that was opened",
                hint="start again",
            )
        return snapshot.head, snapshot.open(self._keys)

    def _write(self, serial: int, entries: dict[str, Entry], keys: Keys | None = None) -> None:
        keys = self._keys if keys is None else keys
        head = Head(self._id, serial + 1, keys.cost, keys.salt, keys.check)
        replace_private(self._path, keys.close(head, entries, self._entropy))
