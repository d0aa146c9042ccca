"""A party's keystore as a whole: what is in it, its copies, its passphrase (docs/protocol.md section 5.3)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from enclave_runtime.wire.codec import hex_of
from marketplace.errors import BadInputError, MarketError
from marketplace.sealing import keycopies
from marketplace.sealing.keycopies import Copied
from marketplace.sealing.keystore import KeyStore
from marketplace.sealing.privatefile import replace_private

if TYPE_CHECKING:
    from marketplace.sdk.profile import Session

__all__ = ["KeyEntry", "back_up", "change_passphrase", "entries", "restore"]

T = TypeVar("T")
_REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One secret, by name.

    Attributes:
        what: `content`, `sealed`, `result`, or what else it is kept as.
        name: 0x-hex of the digest or order id, else as it was named.
        replaced_by: content: manifest digest of what took its place, 0x-hex; else empty.
    """

    what: str
    name: str
    replaced_by: str = ""


def entries(session: Session) -> list[KeyEntry]:
    """Return the names of all secrets, once each was seen to open; what was replaced before what was not.

    Raises:
        NotFoundError: no keystore.
        KeystoreError: it or an entry does not open.
    """
    keystore = session.keystore(create=False)
    keystore.check()
    found = []
    for full in keystore.names():
        what, _, name = full.partition("/")
        if what == _REPLACED:
            continue
        by = keystore.replaced_by(bytes.fromhex(name)) if what == "content" else None
        shown = "0x" + name if len(name) == 64 else name
        found.append(KeyEntry(what, shown, hex_of(by) if by else ""))
    return sorted(found, key=lambda one: (one.what, not one.replaced_by, one.name))


def back_up(session: Session, target: Path) -> Copied:
    """Copy the keystore to a new file; see `sealing.keycopies.back_up`."""
    return keycopies.back_up(session.profile.content_keys, session.passphrase(), target)


def restore(session: Session, backup: Path, *, opens_with: str = "") -> Copied:
    """Put a backup in the keystore's place; see `sealing.keycopies.restore`."""
    place = session.profile.content_keys
    return keycopies.restore(backup, session.passphrase(), place, entropy=os.urandom, opens_with=opens_with)


def change_passphrase(session: Session, new: str) -> list[Path]:
    """Wrap keystore, wallet and grant key under another passphrase, and return the files that changed.

    Each file is replaced at once, the profile's passphrase file last: after a crash, run it again with the
    same new passphrase, and what was changed already is left alone.

    Raises:
        BadInputError: the same passphrase or an empty one, or a file that opens with neither.
        KeystoreError: the keystore opens with neither.
    """
    profile, old = session.profile, session.passphrase()
    if not new or new == old:
        raise BadInputError("new passphrase", "the old one" if new else "an empty one", "another one")
    changed = [path for path in (profile.key, profile.owner.grant_key) if path and _rewrap(path, old, new)]
    if profile.content_keys.exists():
        keystore = _open_either(lambda words: _keystore(profile.content_keys, words), old, new)
        if keystore is not None:
            keystore.rotate(new)
            changed.append(profile.content_keys)
    if profile.passphrase is not None:
        replace_private(profile.passphrase, new.encode() + b"\n")
        changed.append(profile.passphrase)
    return changed


def _keystore(path: Path, passphrase: str) -> KeyStore:
    return KeyStore.open(path, passphrase, entropy=os.urandom, create=False)


def _rewrap(path: Path, old: str, new: str) -> bool:
    """Encrypt a wallet file anew; return False for one that is not encrypted, or was changed already."""
    from marketplace.chain.signer import Signer
    from marketplace.service.keyfiles import read_secret

    if not read_secret(path).lstrip().startswith(b"{"):
        return False
    signer = _open_either(lambda words: Signer.from_keystore(path, words), old, new)
    if signer is None:
        return False
    aside = path.with_name(path.name + ".rewrapped")
    aside.unlink(missing_ok=True)
    signer.write_keystore(aside, new)
    replace_private(path, aside.read_bytes())
    aside.unlink()
    return True


def _open_either(opens: Callable[[str], T], old: str, new: str) -> T | None:
    """Return what opens with the old passphrase, or None where it opens with the new one already."""
    try:
        return opens(old)
    except MarketError:
        try:
            opens(new)
        except MarketError:
            pass
        else:
            return None
        raise
