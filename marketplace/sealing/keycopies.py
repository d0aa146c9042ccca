"""Backups of the keystore, and their way back (docs/protocol.md section 5.3).

A backup is the keystore's own file: closed under the same passphrase, and as private. Nothing here trusts a
copy before every entry in it was opened, and nothing is put over a keystore that has more than the copy.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.sealed.buffers import Entropy
from enclave_runtime.sealed.locked import wipe
from marketplace.sealing.keyfile import Entry, Head, Keys, KeystoreError, Snapshot, load
from marketplace.sealing.privatefile import PrivateFileError, create_private, hold_lock, replace_private

__all__ = ["Copied", "back_up", "restore"]


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy holds.

    Attributes:
        entries: secrets that were opened, every one.
        serial: number of the write that the copy is of.
    """

    entries: int
    serial: int


def back_up(keystore: Path, passphrase: str, target: Path) -> Copied:
    """Copy the keystore to the new file `target`, once every entry was seen to open, and read it again.

    Raises:
        KeystoreError: the keystore does not open, or `target` exists or cannot be written.
    """
    snapshot, _, entries = _opened(keystore, passphrase)
    try:
        create_private(target, snapshot.data)
    except PrivateFileError as error:
        raise KeystoreError(f"backup {error}", hint=error.hint) from error
    if load(target).data != snapshot.data:
        raise KeystoreError(f"backup {target}: got other bytes than were written", hint="use another disk")
    return Copied(len(entries), snapshot.head.serial)


def restore(
    backup: Path, passphrase: str, keystore: Path, *, entropy: Entropy, opens_with: str = ""
) -> Copied:
    """Put a backup in the keystore's place.

    Args:
        passphrase: today's.
        opens_with: the backup's own, where it is of before a change; it is wrapped anew under today's then.
    Raises:
        KeystoreError: the backup does not open, whole and with every entry; or a file is in the place that is
            newer, of another keystore, or holds a secret that the backup has not. Nothing was changed then.
    """
    snapshot, keys, entries = _opened(backup, opens_with or passphrase)
    data, serial = snapshot.data, snapshot.head.serial
    if opens_with:
        data = _wrapped_anew(snapshot.head, keys, entries, passphrase, entropy)
        serial += 1
    with hold_lock(keystore):
        if os.path.lexists(keystore):
            _check_replaceable(keystore, passphrase, snapshot, keys, entries)
        replace_private(keystore, data)
    return Copied(len(entries), serial)


def _wrapped_anew(
    head: Head, keys: Keys, entries: dict[str, Entry], passphrase: str, entropy: Entropy
) -> bytes:
    new = Keys(passphrase, head.cost, entropy(32))
    wrapped = {}
    for name, entry in entries.items():
        secret = keys.unwrap(name, entry)
        wrapped[name] = new.wrap(name, entry.version + 1, secret, entropy)
        wipe(secret)
    made = Head(head.store_id, head.serial + 1, new.cost, new.salt, new.check)
    return new.close(made, wrapped, entropy)


def _opened(path: Path, passphrase: str) -> tuple[Snapshot, Keys, dict[str, Entry]]:
    snapshot = load(path)
    keys = Keys(passphrase, snapshot.head.cost, snapshot.head.salt)
    entries = snapshot.open(keys)
    for name, entry in entries.items():
        wipe(keys.unwrap(name, entry))
    return snapshot, keys, entries


def _check_replaceable(
    place: Path, passphrase: str, backup: Snapshot, keys: Keys, entries: dict[str, Entry]
) -> None:
    """Refuse to lose anything: what is there must open, and be an earlier state of the same keystore."""
    away = f"move it away first, such as: mv {place} {place}.old"
    try:
        there, old_keys, old = _opened(place, passphrase)
    except KeystoreError as error:
        raise KeystoreError(
            f"keystore {place}: got a file in the place that does not open: {error}",
            hint=f"if it is damaged or has another passphrase, {away}",
        ) from error
    if there.head.store_id != backup.head.store_id:
        raise KeystoreError(
            f"keystore {place}: got a backup of another keystore, expected one of this", hint=away
        )
    if there.head.serial > backup.head.serial:
        raise KeystoreError(
            f"keystore {place}: got a backup of write {backup.head.serial}, "
            f"expected one no older than what is there, write {there.head.serial}",
            hint=f"keep what is there; if you mean to go back, {away}",
        )
    lost = [name for name, entry in old.items() if not _has(name, (old_keys, entry), keys, entries)]
    if lost:
        raise KeystoreError(
            f"keystore {place}: got a backup without {len(lost)} of its secrets, such as {lost[0]}, "
            "expected one with all",
            hint=f"the two went separate ways: keep both; {away}",
        )


def _has(name: str, old: tuple[Keys, Entry], keys: Keys, entries: dict[str, Entry]) -> bool:
    if name not in entries:
        return False
    first, second = old[0].unwrap(name, old[1]), keys.unwrap(name, entries[name])
    same = first == second
    wipe(first)
    wipe(second)
    return same
