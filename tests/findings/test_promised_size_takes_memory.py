"""A manifest promised 2^34 segments, and the loader took 16 GiB of address space before it had read one byte.

The format allows segments of 1 KiB and 16 TiB of content. Memory for each segment is taken now once header
and index were read and proven to be those that the manifest names (docs/protocol.md sections 3.3 and 10).
"""

from __future__ import annotations

import dataclasses
import os
import tracemalloc
from pathlib import Path

import pytest

from enclave_runtime.sealed.header import CiphertextIndex, CiphertextMismatchError
from enclave_runtime.sealed.onepass import open_folder
from enclave_runtime.sealed.ranges import MemorySource
from enclave_runtime.sealed.reader import SealedReader
from enclave_runtime.sealed.unpack import Quota
from enclave_runtime.sealed.unseal import Unsealer, unseal
from tests.fakes.sealed_bytes import KEY, SALT, bytes_of, sealed_stream


class Untouched:
    """A sink that must never be asked for room."""

    def reserve(self, offset: int, length: int) -> memoryview:
        """Refuse."""
        raise AssertionError

    def commit(self, offset: int, view: memoryview) -> None:
        """Refuse."""
        raise AssertionError

    def read_at(self, offset: int, buffer: memoryview) -> None:
        """Refuse."""
        raise AssertionError

    def discard(self) -> None:
        """Nothing is held."""


def test_promise_alone_takes_no_memory(tmp_path: Path) -> None:
    stream, honest = sealed_stream(bytes_of(5000))
    info = dataclasses.replace(honest, plaintext_bytes=1 << 44)
    assert info.layout.segments == 1 << 34
    source = MemorySource(stream)
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    tracemalloc.start()
    try:
        with pytest.raises(CiphertextMismatchError, match="of index"):
            CiphertextIndex.read(source, info)
        with pytest.raises(CiphertextMismatchError):
            open_folder(source, info, KEY, SALT, folder, Quota(1 << 44))
        with pytest.raises(CiphertextMismatchError):
            SealedReader(source, info, KEY)
        with pytest.raises(CiphertextMismatchError):
            unseal(source, Unsealer(info, KEY, SALT, Untouched()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        os.close(folder)
    assert peak < 4 << 20
