"""The defect: an engine sealed under SHA-256 read "DIFFERENT" to whoever compared it with its own source.

The library could seal under the FIPS profile; nothing outside could ask for it, and comparisons took BLAKE3
whatever the manifest said.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.wire.offers import OfferKind
from marketplace.cli import authors
from marketplace.cli.main import run
from marketplace.errors import BadInputError
from marketplace.sdk import author, containers, market
from marketplace.sdk.export import Export
from marketplace.sdk.profile import Profile, Session
from tests.fakes.sealing_home import make_home

ENTRY = ("python", "train.py")


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "train.py").write_text("pass\n")
    return tmp_path / "engine"


def listed(session: Session, engine: Path, monkeypatch: pytest.MonkeyPatch) -> containers.Pushed:
    """Seal and push an engine as the profile says, and list it on a chain of one offer."""
    containers.seal(session, engine, OfferKind.ENGINE, engine.with_name("e.sealed"), entry_point=ENTRY)
    pushed = containers.push(session, engine.with_name("e.sealed"))
    terms = SimpleNamespace(
        manifest_digest=pushed.manifest.digest(), content_digest=pushed.manifest.sealed.content_digest
    )
    offer = SimpleNamespace(kind=OfferKind.ENGINE, terms=terms)
    monkeypatch.setitem(session.__dict__, "reader", SimpleNamespace(get_offer=lambda _: offer))
    monkeypatch.setattr(market, "manifest_of", lambda *_: pushed.manifest)
    monkeypatch.setattr(authors, "session_of", lambda _: session)
    return pushed


@pytest.mark.parametrize("algorithm", ["sha256", "blake3"])
def test_the_same_source_reads_the_same(
    algorithm: str,
    engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    session = make_home(tmp_path / "home", algorithm=algorithm)
    sealed = listed(session, engine, monkeypatch).manifest.sealed
    assert sealed.algorithm is Algorithm(algorithm)
    assert author.own_digest(session, engine, 1) == sealed.content_digest
    words = ["--home", str(tmp_path / "home"), "digest", str(engine), "--offer", "1"]
    assert run(words) == 0 and "the same" in capsys.readouterr().out
    (engine / "train.py").write_text("pass  \n")
    assert run(words) == 5 and "DIFFERENT" in capsys.readouterr().out


def test_an_exported_order_is_compared_under_its_manifests_hash(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_home(tmp_path / "home", algorithm="sha256")
    manifest = listed(session, engine, monkeypatch).manifest
    export = SimpleNamespace(bundle=SimpleNamespace(manifests=(manifest,)))
    found = Export.own_digests(export, {0: engine})  # type: ignore[arg-type]
    assert found == {0: manifest.sealed.content_digest}


def test_profile_and_option_name_the_hash(engine: Path, tmp_path: Path) -> None:
    session = make_home(tmp_path / "home", algorithm="sha256")
    for number, (asked, expected) in enumerate(
        [(None, Algorithm.SHA256), (Algorithm.BLAKE3, Algorithm.BLAKE3)]
    ):
        out = tmp_path / str(number)
        made = containers.seal(session, engine, OfferKind.ENGINE, out, entry_point=ENTRY, algorithm=asked)
        assert made.draft.sealed.algorithm is expected
        bare = containers.pack(engine, tmp_path / f"{number}.tar", algorithm=expected).digest
        assert made.draft.sealed.content_digest == bare
    config = tmp_path / "home" / "config.toml"
    config.write_text(config.read_text().replace('"sha256"', '"md5"'))
    with pytest.raises(BadInputError, match="owner: algorithm: got 'md5', expected blake3 or sha256"):
        Profile.load(tmp_path / "home")
