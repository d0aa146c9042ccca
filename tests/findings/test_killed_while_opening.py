"""The defects: an opening that was killed left plaintext and kept the next one from starting; what was opened
was readable by everybody; one that was refused left the folders it had made, or emptied another's folder."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from enclave_runtime.wire.errors import RefusedError
from marketplace.errors import BadInputError
from marketplace.sealing.newfolder import check_free, filling
from marketplace.sealing.opening import open_to_folder
from marketplace.storage.local import LocalStore
from tests.unit.marketplace.sealing.test_folders import seal_dataset

ROOT = Path(__file__).resolve().parents[2]
FILLS = """
import sys, time
from pathlib import Path
from marketplace.sealing.newfolder import filling
with filling(Path(sys.argv[1])) as part:
    (part / "patients.csv").write_text("plaintext")
    print("ready", flush=True)
    time.sleep(60)
"""


def killed(folder: Path) -> None:
    """Begin to fill `folder` in a process of its own, and kill that."""
    with subprocess.Popen(
        [sys.executable, "-c", FILLS, str(folder)], cwd=ROOT, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        with pytest.raises(BadInputError, match="another process fills"), filling(folder):
            pass
        child.send_signal(signal.SIGKILL)


def test_the_next_opening_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    killed(folder)
    (part,) = folder.iterdir()
    assert (part / "patients.csv").exists(), "nobody was there to remove it"
    check_free(folder)
    with filling(folder) as fresh:
        (fresh / "result.csv").write_text("whole")
    assert os.listdir(folder) == ["result.csv"]


def test_what_is_opened_is_its_owners_alone(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        with filling(tmp_path / "a" / "b") as part:
            (part / "file").touch()
    finally:
        os.umask(previous)
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_refused_opening_leaves_no_folder_of_its_own_and_takes_none_of_others(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), filling(tmp_path / "deep" / "er" / "of") as part:
        (part / "file").touch()
        raise RuntimeError
    assert os.listdir(tmp_path) == []
    (tmp_path / "mine").mkdir()
    with pytest.raises(RuntimeError), filling(tmp_path / "mine"):
        raise RuntimeError
    assert os.listdir(tmp_path / "mine") == []
    (tmp_path / "mine" / "letter").touch()
    with pytest.raises(BadInputError, match="not empty"), filling(tmp_path / "mine"):
        pass
    assert os.listdir(tmp_path / "mine") == ["letter"]


def test_an_archive_with_another_key_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_text("1,2\n")
    store = LocalStore(tmp_path / "store")
    sealed = seal_dataset(tmp_path / "rows", store)
    info, uri = sealed.manifest.sealed, sealed.content_uri
    with pytest.raises(RefusedError):
        open_to_folder(store, uri, info, bytes(32), sealed.salt, tmp_path / "x" / "y")
    assert not (tmp_path / "x").exists()
    open_to_folder(store, uri, info, sealed.content_key, sealed.salt, tmp_path / "x" / "y")
    assert os.listdir(tmp_path / "x" / "y") == ["a.csv"]
