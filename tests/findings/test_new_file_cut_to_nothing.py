"""Opening into a new file on ext4 took twice its time: closing the file waited for the disk.

The sink cut every file to nothing before it wrote, new ones too. ext4 takes such a cut as the beginning of a
rewrite (`auto_da_alloc`) and starts to write all of the file out when it is closed.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from enclave_runtime.sealed.sink import FileSink
from marketplace.storage.partial import PartialFile
from tests.fakes.sealed_blob import sealed_blob


def test_an_empty_file_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    cuts: list[int] = []
    monkeypatch.setattr(os, "ftruncate", lambda fd, length: cuts.append(length))
    with tempfile.TemporaryFile() as file:
        FileSink(file.fileno())
    assert cuts == []


def test_a_new_download_has_its_length_and_nothing_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blob = sealed_blob(1 << 16)
    cuts: list[int] = []
    monkeypatch.setattr(os, "ftruncate", lambda fd, length: cuts.append(length))
    PartialFile(tmp_path / "part", blob.info).close()
    assert cuts == [blob.info.layout.total_bytes]


def test_what_stood_in_a_file_is_gone() -> None:
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(b"what stood here")
        FileSink(file.fileno())
        assert os.fstat(file.fileno()).st_size == 0
