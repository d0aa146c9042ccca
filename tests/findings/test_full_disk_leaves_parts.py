"""The defect: a full disk left `.part` files, an empty `content-keys.json.new`, and no advice.

`error: [Errno 28] No space left on device` was all that `pack`, `seal` and `push` said.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.wire.offers import OfferKind
from marketplace.cli.main import run
from marketplace.sdk import containers
from marketplace.sealing.disk import DiskError
from marketplace.sealing.privatefile import create_private, replace_private
from tests.fakes.sealing_home import make_home, make_rows

_DISK = 64 << 10


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk that 64 KiB fill."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    words = [str(mount), "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(place)]
    if mount is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return make_rows(tmp_path / "rows", 2 * _DISK)


def fill(place: Path) -> None:
    with open(place / "full", "wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 12)):
                pass
        except OSError:
            return


def error_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    capsys.readouterr()
    assert run([*words, "--json"]) == 1
    found: dict[str, str] = json.loads(capsys.readouterr().out)["error"]
    return found


def test_pack_and_seal_on_a_full_disk(
    small: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_home(tmp_path / "home")
    home = ["--home", str(tmp_path / "home"), "author"]
    for words in (
        [*home, "pack", str(rows), "--out", str(small / "x.tar")],
        [*home, "seal", str(rows), "--kind", "dataset", "--out", str(small / "x.sealed")],
    ):
        error = error_of(words, capsys)
        assert error["what"] == f"write {words[-1]}.part"
        assert error["got"] == "a full disk" and "room for" in error["expected"]
        assert "--out" in error["todo"]
        assert not os.listdir(small)


def test_seal_with_a_full_keystore_disk(
    small: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_home(small / "home")
    before = sorted(os.listdir(small / "home"))
    fill(small)
    words = ["--home", str(small / "home"), "author", "seal", str(rows), "--kind", "dataset"]
    error = error_of([*words, "--out", str(tmp_path / "x.sealed")], capsys)
    assert error["what"].endswith("content-keys.json") and error["got"] == "a full disk" and error["todo"]
    assert not list(tmp_path.glob("x.sealed*"))
    assert sorted(os.listdir(small / "home")) == before, "nothing of 0 bytes"
    (small / "full").unlink()
    assert run([*words, "--out", str(tmp_path / "x.sealed")]) == 0


def test_push_into_a_full_store_goes_on_when_there_is_room(
    small: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blobs").symlink_to(small)
    session = make_home(tmp_path / "home")
    containers.seal(session, rows, OfferKind.DATASET, tmp_path / "x.sealed")
    words = ["--home", str(tmp_path / "home"), "author", "push", str(tmp_path / "x.sealed")]
    error = error_of(words, capsys)
    assert error["got"] == "a full disk" and "goes on where" in error["todo"]
    subprocess.run(["mount", "-o", "remount,size=1m", str(small)], check=True)
    assert run(words) == 0
    assert not list((small / "incoming").iterdir())


def test_publish_into_a_full_store_leaves_nothing_of_it(small: Path, rows: Path, tmp_path: Path) -> None:
    from marketplace.sealing.folders import seal_folder

    (tmp_path / "blobs").symlink_to(small)
    session = make_home(tmp_path / "home")
    with pytest.raises(DiskError, match="full disk") as refusal:
        seal_folder(
            rows,
            OfferKind.DATASET,
            session.store,
            entropy=os.urandom,
            release_url=None,
            grant_key=bytes(20),
        )
    assert "store" in refusal.value.hint
    assert not [path for path in small.rglob("*") if path.is_file()]


def test_a_private_file_that_cannot_be_written_leaves_the_old_one(small: Path) -> None:
    replace_private(small / "keys", b"old")
    fill(small)
    with pytest.raises(DiskError, match="full disk"):
        replace_private(small / "keys", bytes(1 << 14))
    with pytest.raises(DiskError, match="full disk"):
        create_private(small / "new", bytes(1 << 14))
    assert sorted(os.listdir(small)) == ["full", "keys"]
    assert (small / "keys").read_bytes() == b"old"


_LIMITED = """
import sys
from marketplace.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize("command", ["pack", "seal"])
def test_a_file_longer_than_the_shell_allows(command: str, rows: Path, tmp_path: Path) -> None:
    """The same without any right to mount: a limit on the size of files ends a write in the middle."""
    make_home(tmp_path / "home")
    out = tmp_path / "x"
    words = ["--home", str(tmp_path / "home"), "author", command, str(rows), "--out", str(out), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, *words, *(["--kind", "dataset"] if command == "seal" else [])],
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (_DISK, _DISK)),
        timeout=100,
    )
    assert done.returncode == 1, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["what"] == f"write {out}.part" and error["got"] and error["expected"] and error["todo"]
    assert not list(tmp_path.glob("x*"))


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="gone: got nothing there") as refusal:
        containers.seal(make_home(tmp_path / "home"), tmp_path / "gone", OfferKind.DATASET, tmp_path / "x")
    assert refusal.value.hint
    assert isinstance(refusal.value.__cause__, FileNotFoundError)
