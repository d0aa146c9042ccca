"""A profile that never asks a chain, in a folder of its own, and a small folder to seal."""

from __future__ import annotations

import secrets
from pathlib import Path

from marketplace.sdk.profile import Profile, Session
from marketplace.sealing.keystore import KeyStore, ScryptCost

__all__ = ["make_home", "make_rows"]

_WEAK = ScryptCost(log2_n=14)


def make_home(path: Path, *, algorithm: str | None = None) -> Session:
    """Make a profile below `path`, its blobs beside it."""
    path.mkdir()
    for file, text in (("key", "11" * 32), ("pass", "hidden\n"), ("grant", "22" * 32)):
        (path / file).write_text(text)
        (path / file).chmod(0o600)
    owner = {"grant_key": "grant", "release_url": "http://127.0.0.1:9"}
    Profile.write(
        path,
        rpc=["http://127.0.0.1:1"],
        deployment="none.json",
        key="key",
        passphrase="pass",
        store=path.parent / "blobs",
        owner=owner if algorithm is None else owner | {"algorithm": algorithm},
    )
    KeyStore.open(path / "content-keys.json", "hidden", entropy=secrets.token_bytes, cost=_WEAK)
    return Session(Profile.load(path))


def make_rows(path: Path, size: int = 60_000) -> Path:
    """Make a folder with one file of zeros."""
    path.mkdir(parents=True)
    (path / "rows.csv").write_bytes(bytes(size))
    return path
