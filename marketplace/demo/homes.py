"""Every party's home folder: keys born here, settings files, services that run from them."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coincurve import PrivateKey

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.signatures import address_of
from marketplace.demo.scenario import PARTIES, Party
from marketplace.demo.settings import write_secret
from marketplace.sdk.profile import Profile, Session
from marketplace.sealing.keystore import KeyStore, ScryptCost

__all__ = ["OWNERS", "Home", "make_homes"]

OWNERS: Final = ("hospital-a", "hospital-b", "centre")
"""Who publishes content, and so runs a key broker."""
_CHEAP: Final = ScryptCost(log2_n=14)
"""The demo's passphrases are random and go with its folder; a dear key derivation would only cost time."""


@dataclass(slots=True)
class Home:
    """One party: folder, wallet address, and what it does."""

    party: Party
    path: Path
    address: bytes
    grant_address: bytes | None = None
    _session: Session | None = None

    @property
    def session(self) -> Session:
        """Return the session on this home's profile: one, with one connection to the chain."""
        if self._session is None:
            self._session = Session(Profile.load(self.path))
        return self._session

    def close(self) -> None:
        """Close the connection; the next `session` reads the profile anew."""
        if self._session is not None:
            self._session.reader.node.rpc.close()
            self._session = None

    @property
    def text(self) -> str:
        """Return the wallet's address as 0x-hex."""
        return hex_of(self.address)


def make_homes(folder: Path) -> dict[str, Home]:
    """Make every party's folder with a wallet, and for owners a keystore and a grant key."""
    return {party.slug: _make(folder / party.slug, party) for party in PARTIES}


def _make(path: Path, party: Party) -> Home:
    path.mkdir(mode=0o700, parents=True)
    home = Home(party, path, _born(path / "wallet.key"))
    passphrase = secrets.token_hex(16)
    write_secret(path / "passphrase", passphrase + "\n")
    KeyStore.open(path / "content-keys.json", passphrase, entropy=os.urandom, cost=_CHEAP)
    if party.slug in OWNERS:
        home.grant_address = _born(path / "grant-key")
    return home


def _born(path: Path) -> bytes:
    """Make a key file and return its address."""
    key = PrivateKey(secrets.token_bytes(32))
    write_secret(path, key.to_hex() + "\n")
    return address_of(key)
