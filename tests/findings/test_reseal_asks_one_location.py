"""The defect: `author reseal` gave up where the first location had the right size and one wrong byte.

The second one was good, and every other reader of sealed content would have gone on there.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from enclave_runtime.sealed.header import CiphertextMismatchError
from enclave_runtime.sealed.manifest import Manifest
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import NotFoundError
from marketplace.sdk import author, containers, inspecting, market
from marketplace.sdk.profile import Session
from marketplace.sealing.opening import open_to_folder
from tests.fakes.sealing_home import make_home, make_rows


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return make_home(tmp_path / "home")


@pytest.fixture
def pushed(session: Session, tmp_path: Path) -> containers.Pushed:
    rows = make_rows(tmp_path / "rows")
    containers.seal(session, rows, OfferKind.DATASET, tmp_path / "x.sealed", segment_bytes=1 << 12)
    return containers.push(session, tmp_path / "x.sealed")


def altered(session: Session, pushed: containers.Pushed, position: int) -> str:
    """Store the ciphertext with one wrong byte; its URI is another, as at a location that lies."""
    data = bytearray(b"".join(session.store.open(pushed.content_uri)))
    data[position] ^= 1
    return session.store.put([data])


def reseal(
    session: Session, manifest: Manifest, monkeypatch: pytest.MonkeyPatch, **named: Any
) -> tuple[Manifest, bytes]:
    """Seal an offer again that a chain lists; return the new manifest and what it replaced."""

    @dataclasses.dataclass
    class Terms:
        manifest_digest: bytes
        content_digest: bytes

    listed = SimpleNamespace(
        kind=manifest.kind, terms=Terms(manifest.digest(), manifest.sealed.content_digest)
    )
    keys = session.keystore()
    first = keys.get(keys.manifests()[0])
    keys.put(manifest.digest(), first.content_key, first.salt)
    monkeypatch.setitem(session.__dict__, "reader", SimpleNamespace(get_offer=lambda _: listed))
    monkeypatch.setattr(market, "manifest_of", lambda *_: manifest)
    monkeypatch.setattr(author, "list_terms", lambda _, terms, uri, *__, **___: uri)
    uri, old = containers.reseal(session, 1, **named)
    return inspecting.manifest_at(session, str(uri)), old


@pytest.mark.parametrize("position", [25, 60, 30_000, -1], ids=["salt", "segment", "middle", "index"])
def test_the_second_location_is_read_where_the_first_is_wrong(
    position: int,
    session: Session,
    pushed: containers.Pushed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = (altered(session, pushed, position), pushed.content_uri)
    manifest = dataclasses.replace(pushed.manifest, locations=places)
    new, old = reseal(session, manifest, monkeypatch)
    secret = session.keystore().get(new.digest())
    assert old == manifest.digest() and session.keystore().replaced_by(old) == new.digest()
    opened = open_to_folder(
        session.store, new.locations[0], new.sealed, secret.content_key, secret.salt, tmp_path / "out"
    )
    assert opened.entries == 1
    assert (tmp_path / "out" / "rows.csv").read_bytes() == bytes(60_000)


def test_says_so_where_every_location_is_wrong(
    session: Session, pushed: containers.Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = (altered(session, pushed, 60), altered(session, pushed, 9000))
    with pytest.raises(CiphertextMismatchError):
        reseal(session, dataclasses.replace(pushed.manifest, locations=places), monkeypatch)
    nowhere = ("file:sha256/" + "0" * 64,)
    with pytest.raises(NotFoundError) as refusal:
        reseal(session, dataclasses.replace(pushed.manifest, locations=nowhere), monkeypatch)
    assert "--replaces 1" in refusal.value.hint


def test_seals_again_under_another_hash(
    session: Session, pushed: containers.Pushed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, _ = reseal(session, pushed.manifest, monkeypatch, algorithm=Algorithm.SHA256)
    assert new.sealed.algorithm is Algorithm.SHA256
    secret = session.keystore().get(new.digest())
    open_to_folder(
        session.store, new.locations[0], new.sealed, secret.content_key, secret.salt, tmp_path / "out"
    )
