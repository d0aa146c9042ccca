"""The defect: 100,001 files could be sealed, listed and sold, and no CVM and no client could open them again.

What reads an archive takes 100,000 entries; what wrote one counted none.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enclave_runtime.sealed import archive
from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.tarwalk import MAX_ENTRIES, Quota
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import BadInputError
from marketplace.sdk import containers
from marketplace.sealing.folders import digest_folder
from tests.fakes.sealing_home import make_home, make_rows


def test_the_writer_refuses_what_readers_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vars(archive)["MAX_ENTRIES"] == MAX_ENTRIES == Quota(0).entries
    monkeypatch.setattr(archive, "MAX_ENTRIES", 8)
    (tmp_path / "deep").mkdir()
    for number in range(7):
        (tmp_path / "deep" / str(number)).write_bytes(b"x")
    with ArchiveReader(tmp_path) as reader:  # the folder counts too
        assert reader.entries == 8
    (tmp_path / "link").symlink_to("deep/1")
    with pytest.raises(RefusedError, match=r"archive\.entries: got more than 8") as refusal:
        ArchiveReader(tmp_path)
    assert refusal.value.step == "archive.entries"


def test_its_author_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 8)
    session, rows = make_home(tmp_path / "home"), make_rows(tmp_path / "rows")
    for number in range(8):
        (rows / str(number)).write_bytes(b"x")
    for act in (
        lambda: containers.pack(rows, tmp_path / "x"),
        lambda: containers.seal(session, rows, OfferKind.DATASET, tmp_path / "x"),
        lambda: digest_folder(rows, OfferKind.ENGINE),
    ):
        with pytest.raises(BadInputError, match="more than 8 files, folders and links") as refusal:
            act()
        assert "split it" in refusal.value.hint and "archive" in refusal.value.hint
    assert not list(tmp_path.glob("x*")) and session.keystore().names() == ()


@pytest.mark.heavy
def test_a_hundred_thousand_files_and_one(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for number in range(MAX_ENTRIES):
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    with ArchiveReader(tmp_path) as reader:
        assert reader.entries == MAX_ENTRIES
    os.close(os.open("one more", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    with pytest.raises(RefusedError, match=r"archive\.entries"):
        ArchiveReader(tmp_path)
