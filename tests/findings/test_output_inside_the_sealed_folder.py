"""The defect: what a failed run had left was sealed into the next dataset.

`seal rows --out rows/in.sealed` was refused in the middle, and left `rows/in.sealed.part` in the folder; the
next `seal rows` took it along. `pack --out` inside of the folder left its `.tar.part` in the same way.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import BadInputError
from marketplace.sdk import containers, inspecting
from marketplace.sdk.profile import Session
from tests.fakes.sealing_home import make_home, make_rows


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return make_home(tmp_path / "home")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    folder = make_rows(tmp_path / "rows")
    (folder / "deep").mkdir()
    return folder


def below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("place", ["in", "deep/in", "../linked/in", "deep/../in"])
def test_no_output_lies_in_the_folder(place: str, session: Session, rows: Path) -> None:
    (rows.parent / "linked").symlink_to(rows / "deep")
    before = below(rows)
    with pytest.raises(BadInputError, match="inside of the folder"):
        containers.seal(session, rows, OfferKind.DATASET, rows / place)
    with pytest.raises(BadInputError, match="inside of the folder"):
        containers.pack(rows, rows / place)
    assert below(rows) == before
    assert session.keystore().names() == ()


def test_a_name_that_begins_like_the_folders_is_outside(session: Session, rows: Path) -> None:
    assert containers.pack(rows, rows.with_name("rows.tar")).entries == 2
    made = containers.seal(session, rows, OfferKind.DATASET, rows.with_name("rows-sealed"))
    assert list(inspecting.files_in(session, made.path)) == ["rows.csv"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RefusedError("archive.changed", "x", "y"), OSError(5)])
def test_a_run_that_fails_leaves_nothing(
    error: BaseException | type[BaseException], session: Session, rows: Path, tmp_path: Path
) -> None:
    def fails(done: int, total: int) -> None:
        raise error

    before = sorted(os.listdir(tmp_path))
    with pytest.raises(BaseException):  # noqa: B017 - whatever it is, nothing is left
        containers.seal(session, rows, OfferKind.DATASET, tmp_path / "x", progress=fails)
    with pytest.raises(BaseException):  # noqa: B017
        containers.pack(rows, tmp_path / "y", progress=fails)
    assert sorted(os.listdir(tmp_path)) == before
    assert session.keystore().names() == ()
