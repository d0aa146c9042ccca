"""The defect: `author push` and `publish FILE` stored a sealed file with a flipped byte for sale.

Only its header and its length were compared with its manifest; every order on it would have failed. A byte of
its index was seen by nothing at all, `inspect --verify` and `digest` included.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from enclave_runtime.sealed.buffers import Progress
from enclave_runtime.wire.offers import OfferKind, Price
from marketplace.cli.main import run
from marketplace.errors import BadInputError
from marketplace.sdk import author, containers
from marketplace.sdk.profile import Session
from tests.fakes.sealing_home import make_home, make_rows


def stored(folder: Path) -> list[str]:
    return [path.name for path in (folder / "blobs").rglob("*") if path.is_file()]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return make_home(tmp_path / "home")


@pytest.fixture
def sealed(tmp_path: Path, session: Session) -> Path:
    rows = make_rows(tmp_path / "rows")
    return containers.seal(session, rows, OfferKind.DATASET, tmp_path / "x.sealed").path


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("position", [25, 60, 30_000, -1], ids=["salt", "segment", "middle", "index"])
def test_a_flipped_byte_is_refused_and_nothing_is_stored(
    position: int, session: Session, sealed: Path, tmp_path: Path
) -> None:
    flip(sealed, position)
    with pytest.raises(BadInputError, match="ciphertext digest") as refusal:
        containers.push(session, sealed)
    assert "seal again" in refusal.value.hint
    with pytest.raises(BadInputError, match="ciphertext digest"):
        containers.publish_sealed(session, sealed, author.Asked(Price(1, 0, 0, 0)))
    assert not stored(tmp_path)
    flip(sealed, position)
    assert containers.push(session, sealed).manifest.locations
    assert len(stored(tmp_path)) == 2


def test_the_command_refuses_it(
    session: Session, sealed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(sealed, 30_000)
    assert run(["--home", str(tmp_path / "home"), "author", "push", str(sealed), "--progress"]) == 2
    assert "ciphertext digest" in capsys.readouterr().err
    assert not stored(tmp_path)


def test_a_file_that_changes_after_it_was_checked_gets_no_manifest(
    session: Session, sealed: Path, tmp_path: Path
) -> None:
    def stages(what: str) -> AbstractContextManager[Progress | None]:
        if what == "pushing":
            flip(sealed, 30_000)
        return nullcontext()

    with pytest.raises(BadInputError, match="nobody writes"):
        containers.push(session, sealed, stages=stages)
    assert len(stored(tmp_path)) == 1, "the altered ciphertext alone, which nothing names"
    flip(sealed, 30_000)
    made = containers.push(session, sealed)
    assert not made.kept and len(stored(tmp_path)) == 3


def test_inspect_and_digest_see_the_index(
    sealed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(sealed, -1)
    for words in (["author", "inspect", str(sealed), "--verify"], ["digest", str(sealed)]):
        assert run(["--home", str(tmp_path / "home"), *words]) == 1
        assert "stream.digest" in capsys.readouterr().err


def test_what_is_stored_already_is_not_read_again(session: Session, sealed: Path) -> None:
    asked: list[str] = []

    def stages(what: str) -> AbstractContextManager[Progress | None]:
        asked.append(what)
        return nullcontext()

    first = containers.push(session, sealed, stages=stages)
    assert asked == ["checking", "pushing"]
    again = containers.push(session, sealed, stages=stages)
    assert asked == ["checking", "pushing", "comparing"] and again.kept and again.manifest == first.manifest
