"""The defects: what lay at a `.part` or a `.json` was written through, or replaced, unasked and unsynced.

`o2.sealed.part -> victim` overwrote the victim; an existing `NAME.json` was replaced. A packed archive, which
is plaintext, could be read by everybody, whatever the folder's mode. Two runs into one name wrote into the
same `.part`: one reported digests of what exists nowhere, the other failed without a reason.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import BadInputError, MarketError
from marketplace.sdk import containers
from marketplace.sdk.profile import Session
from marketplace.sdk.streams import file_digest
from marketplace.sealing.containers import SealedFile, load_sealed, part_of
from marketplace.sealing.disk import DiskError
from marketplace.sealing.newfile import new_file, was_interrupted
from tests.fakes.sealing_home import make_home, make_rows


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return make_home(tmp_path / "home")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return make_rows(tmp_path / "rows", 1 << 20)


@pytest.mark.parametrize("suffix", ["", ".part", ".json", ".json.part"])
@pytest.mark.parametrize("dangling", [False, True])
def test_no_link_is_written_through(
    suffix: str, dangling: bool, session: Session, rows: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_bytes(b"precious")
    out = tmp_path / "o"
    out.with_name("o" + suffix).symlink_to(victim)
    with pytest.raises(BadInputError, match="file to write"):
        containers.seal(session, rows, OfferKind.DATASET, out)
    if suffix in ("", ".part"):
        with pytest.raises(BadInputError, match="file to write"):
            containers.pack(rows, out)
    assert victim.exists() is not dangling and (dangling or victim.read_bytes() == b"precious")
    assert [path.name for path in tmp_path.glob("o*")] == ["o" + suffix]
    assert session.keystore().names() == ()


def test_an_old_manifest_is_not_replaced(session: Session, rows: Path, tmp_path: Path) -> None:
    (tmp_path / "o.json").write_bytes(b"of another sealing")
    with pytest.raises(BadInputError, match=r"o\.json, which exists") as refusal:
        containers.seal(session, rows, OfferKind.DATASET, tmp_path / "o")
    assert "move o.json away" in refusal.value.hint
    assert (tmp_path / "o.json").read_bytes() == b"of another sealing"


def test_another_name_of_a_part_keeps_its_bytes(session: Session, rows: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    os.link(tmp_path / "victim", tmp_path / "o.part")
    containers.seal(session, rows, OfferKind.DATASET, tmp_path / "o")
    assert (tmp_path / "victim").read_bytes() == b"precious"


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_plaintext_is_for_its_owner_alone(umask: int, session: Session, rows: Path, tmp_path: Path) -> None:
    seen = []

    def look(done: int, total: int) -> None:
        seen.append(part_of(tmp_path / "x.tar").stat().st_mode & 0o777)

    before = os.umask(umask)
    try:
        containers.pack(rows, tmp_path / "x.tar", progress=look)
        sealed = containers.seal(session, rows, OfferKind.DATASET, tmp_path / "x.sealed")
    finally:
        os.umask(before)
    assert seen and set(seen) == {0o600}, "not for a moment"
    assert (tmp_path / "x.tar").stat().st_mode & 0o777 == 0o600
    # Ciphertext and manifest are public: whatever the umask gives.
    assert sealed.path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_files_and_folder_are_synced_before_they_have_their_names(
    session: Session, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    fsync, link = os.fsync, os.link

    def synced(descriptor: int) -> None:
        done.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def linked(source: Path, target: Path) -> None:
        done.append(("link", str(target)))
        link(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    containers.seal(session, rows, OfferKind.DATASET, tmp_path / "o")
    for name in ("o.json", "o"):
        named = done.index(("link", str(tmp_path / name)))
        assert ("fsync", str(tmp_path / f"{name}.part")) in done[:named]
        assert ("fsync", str(tmp_path)) in done[named:]


def test_two_runs_into_one_name(session: Session, rows: Path, tmp_path: Path) -> None:
    out, began, go = tmp_path / "o", threading.Event(), threading.Event()
    made: list[SealedFile] = []

    def waits(done: int, total: int) -> None:
        began.set()
        assert go.wait(60)

    def first() -> None:
        made.append(containers.seal(session, rows, OfferKind.DATASET, out, progress=waits))

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert began.wait(60)
        assert not was_interrupted(out), "it runs"
        for second in (
            lambda: containers.seal(session, rows, OfferKind.DATASET, out),
            lambda: containers.pack(rows, out),
        ):
            with pytest.raises(BadInputError, match="another run is writing") as refusal:
                second()
            assert "wait" in refusal.value.hint
    finally:
        go.set()
        thread.join(60)
    (sealed,) = made
    assert load_sealed(out) == sealed and file_digest(out) == sealed.ciphertext_digest
    assert session.keystore().sealed_secret(sealed.ciphertext_digest)
    assert sorted(path.name for path in tmp_path.glob("o*")) == ["o", "o.json"]


def test_many_runs_into_one_name_make_one_file(tmp_path: Path) -> None:
    out, made, refused = tmp_path / "o", list[int](), list[str]()
    together = threading.Barrier(8)

    def run(number: int) -> None:
        together.wait()
        try:
            with new_file(out) as file:
                for _ in range(50):
                    file.write(bytes([number]))
                file.publish()
            made.append(number)
        except MarketError as error:
            refused.append(str(error))

    for _ in range(20):
        made.clear()
        refused.clear()
        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 1 and len(refused) == 7
        assert out.read_bytes() == bytes(made) * 50
        assert os.listdir(tmp_path) == ["o"]
        out.unlink()


def fails_with(number: int) -> Callable[..., None]:
    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("taken", [False, True])
def test_a_disk_without_hard_links(taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", fails_with(errno.EPERM))
    with new_file(tmp_path / "o") as file:
        file.write(b"mine")
        if taken:
            (tmp_path / "o").write_bytes(b"of another")
            with pytest.raises(BadInputError, match="exists"):
                file.publish()
        else:
            file.publish()
    assert (tmp_path / "o").read_bytes() == (b"of another" if taken else b"mine")
    assert os.listdir(tmp_path) == ["o"]


def test_a_disk_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", fails_with(errno.ENOLCK))
    with pytest.raises(DiskError, match=r"write .*o\.part: got"), new_file(tmp_path / "o"):
        pass
    assert os.listdir(tmp_path) == []


def test_what_a_killed_run_left_is_replaced(session: Session, rows: Path, tmp_path: Path) -> None:
    part_of(tmp_path / "o").write_bytes(b"half")
    assert was_interrupted(tmp_path / "o")
    containers.seal(session, rows, OfferKind.DATASET, tmp_path / "o")
    assert sorted(path.name for path in tmp_path.glob("o*")) == ["o", "o.json"]
    (tmp_path / "p.part").mkdir()
    with pytest.raises(BadInputError, match="no plain file"):
        containers.pack(rows, tmp_path / "p")
