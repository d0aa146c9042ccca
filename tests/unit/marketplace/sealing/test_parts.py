"""Single files and tensors of a sealed archive, by their segments alone (docs/protocol.md section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.header import CiphertextMismatchError
from enclave_runtime.sealed.reader import SealedReader
from enclave_runtime.wire.errors import WireError
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sealing.parts import extract
from tests.fakes.sealed_bytes import KEY, SMALL, Flaky, sealed_stream

TENSORS: dict[str, numpy.ndarray[Any, Any]] = {
    "a": numpy.arange(3 * SMALL, dtype=numpy.int16),
    "b": numpy.ones((2, 5), dtype=numpy.float32),
    "c": numpy.frombuffer(bytes(range(256)) * 64, dtype=numpy.uint8),
}
MODEL = "output/model.safetensors"


@pytest.fixture
def stream(tmp_path: Path) -> bytes:
    folder = tmp_path / "tree"
    (folder / "output").mkdir(parents=True)
    (folder / "output" / "large.bin").write_bytes(bytes(range(256)) * 800)
    (folder / MODEL).write_bytes(save(TENSORS, {"format": "np"}))
    (folder / "result.json").write_bytes(b"{}")
    with ArchiveReader(folder) as reader:
        buffer = memoryview(bytearray(reader.length))
        assert reader.readinto(buffer) == reader.length
    return bytes(buffer)


@contextmanager
def opened(archive: bytes, spoiled: int | None = None) -> Iterator[tuple[SealedReader, Flaky]]:
    data, info = sealed_stream(archive)
    if spoiled is not None:
        changed = bytearray(data)
        changed[spoiled] ^= 1
        data = bytes(changed)
    source = Flaky(data)
    with SealedReader(source, info, KEY, read_ahead=0) as reader:
        yield reader, source


def test_takes_files_alone(stream: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with opened(stream) as (reader, _):
        assert extract(reader, out, ["result.json", MODEL, MODEL]) == [MODEL, "result.json"]
    assert (out / MODEL).read_bytes() == (tmp_path / "tree" / MODEL).read_bytes()
    assert (out / "result.json").read_bytes() == b"{}"
    assert not (out / "output" / "large.bin").exists()


def test_takes_tensors_as_a_file_that_others_read(stream: bytes, tmp_path: Path) -> None:
    with opened(stream) as (reader, source):
        source.reads.clear()
        assert extract(reader, tmp_path / "out", [MODEL], ["c", "b", "b"]) == [MODEL]
        read = sum(size for _, size in source.reads)
    with safe_open(tmp_path / "out" / MODEL, framework="np") as model:
        assert set(model.keys()) == {"b", "c"}
        assert model.metadata() == {"format": "np"}
        for name in ("b", "c"):
            assert (model.get_tensor(name) == TENSORS[name]).all()
    assert read < len(stream) // 5, "the large file, and the other tensor, were not read"


@pytest.mark.parametrize(
    ("names", "tensors", "error"),
    [
        (["none"], [], NotFoundError),
        (["output"], [], NotFoundError),
        (["../tree/result.json"], [], NotFoundError),
        ([MODEL], ["none"], NotFoundError),
        ([MODEL, "result.json"], ["a"], BadInputError),
        ([], ["a"], BadInputError),
        (["result.json"], ["a"], WireError),
    ],
)
def test_writes_nothing_of_what_is_not_there(
    stream: bytes, tmp_path: Path, names: list[str], tensors: list[str], error: type[Exception]
) -> None:
    (tmp_path / "empty").mkdir()
    with opened(stream) as (reader, _):
        for folder in (tmp_path / "out", tmp_path / "empty"):
            with pytest.raises(error):
                extract(reader, folder, names, tensors)
    assert not (tmp_path / "out").exists()
    assert not any((tmp_path / "empty").iterdir())


def test_leaves_nothing_of_content_that_was_altered(stream: bytes, tmp_path: Path) -> None:
    place = stream.index(bytes(range(256)) * 2) + 100_000
    (tmp_path / "empty").mkdir()
    with opened(stream, spoiled=place) as (reader, _):
        for folder in (tmp_path / "out", tmp_path / "empty"):
            with pytest.raises(CiphertextMismatchError):
                extract(reader, folder, ["result.json", "output/large.bin"])
    assert not (tmp_path / "out").exists()
    assert not any((tmp_path / "empty").iterdir())
