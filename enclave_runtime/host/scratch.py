"""The CVM's files: one folder on a tmpfs, with all plaintext below one name, so that it can be counted.

<scratch>/plain/archives/<i>   decrypted archives, until they are unpacked
<scratch>/plain/inputs/<i>/    unpacked inputs; 0 is the engine
<scratch>/plain/run/           the engine's configuration
<scratch>/plain/result/        output and logs, until they are sealed
<scratch>/sealed/result        the sealed result, for the host to fetch
<scratch>/sealed/checkpoint-<i>  what the engine published while it runs, sealed
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from enclave_runtime.loader.effects import InputFaultError
from enclave_runtime.sealed.sink import FileSink
from enclave_runtime.sealed.unpack import Quota, unpack
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.frames import MAX_BODY_BYTES

__all__ = ["Scratch", "ScratchSink"]

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class ScratchSink:
    """A file sink that owns its descriptor: once closed, late calls do nothing, to no other file either."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, _NEW, 0o600)
        self._sink = FileSink(self._fd)

    def reserve(self, offset: int, length: int) -> memoryview:
        """Return a buffer for `length` bytes."""
        return self._sink.reserve(offset, length)

    def commit(self, offset: int, view: memoryview) -> None:
        """Write the bytes at their place.

        Raises:
            OSError: closed, or the tmpfs is full.
        """
        self._check_open()
        self._sink.commit(offset, view)

    def read_at(self, offset: int, buffer: memoryview) -> None:
        """Read content back.

        Raises:
            OSError: closed.
        """
        self._check_open()
        self._sink.read_at(offset, buffer)

    def discard(self) -> None:
        """Cut the file to nothing; nothing to do once it is closed."""
        if self._fd >= 0:
            self._sink.discard()

    def close(self) -> None:
        """Close the descriptor. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _check_open(self) -> None:
        if self._fd < 0:
            raise OSError("sink: it is closed")


class Scratch:
    """One order's files. Not for several threads at once, except `count_plaintext`."""

    def __init__(self, root: Path) -> None:
        """Take over an empty folder.

        Raises:
            OSError: `root` is no folder.
            ValueError: it is not empty: what lies there could be another order's.
        """
        if any(root.iterdir()):
            raise ValueError(f"scratch: got a folder with entries, expected an empty one: {root}")
        self._root = root
        self._sinks: dict[int, ScratchSink] = {}
        self._unpacked: set[int] = set()
        self._make()

    @property
    def capacity_bytes(self) -> int:
        """Return how much fits in now."""
        usage = os.statvfs(self._root)
        return usage.f_bavail * usage.f_frsize

    @property
    def run_dir(self) -> Path:
        """Return the folder for the engine's configuration."""
        return self._root / "plain" / "run"

    @property
    def result_dir(self) -> Path:
        """Return the folder that becomes the result."""
        return self._root / "plain" / "result"

    @property
    def result_file(self) -> Path:
        """Return where the sealed result lies."""
        return self._root / "sealed" / "result"

    def published_file(self, index: int) -> Path:
        """Return where the ciphertext of a published checkpoint lies, until the host has it."""
        return self._root / "sealed" / f"checkpoint-{index}"

    def input_dir(self, index: int) -> Path:
        """Return the folder of one unpacked input."""
        return self._root / "plain" / "inputs" / str(index)

    def open_sink(self, index: int) -> ScratchSink:
        """Return an empty file for one input's archive."""
        if index in self._sinks:
            self._sinks[index].close()
        self._sinks[index] = ScratchSink(self._archive(index))
        return self._sinks[index]

    def unpack(self, lengths: tuple[int, ...]) -> None:
        """Unpack every archive that is not yet unpacked, and remove it.

        Raises:
            InputFaultError: an archive that our own packer would not have written.
            OSError: no room; call again when there is.
        """
        for index, length in enumerate(lengths):
            if index in self._unpacked:
                continue
            try:
                self._unpack(index, length)
            except RefusedError as refusal:
                raise InputFaultError(index, refusal) from None
            self._unpacked.add(index)
            self._sinks.pop(index).close()
            self._archive(index).unlink()

    def read_result(self, offset: int) -> bytes:
        """Return a frame's worth of the sealed result from `offset` on."""
        with self.result_file.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), MAX_BODY_BYTES, offset)

    def read_published(self, index: int, offset: int) -> bytes:
        """Return a frame's worth of a published checkpoint from `offset` on."""
        with self.published_file(index).open("rb", buffering=0) as file:
            return os.pread(file.fileno(), MAX_BODY_BYTES, offset)

    def count_plaintext(self) -> int:
        """Return the number of files that hold plaintext."""
        return _count(self._root / "plain")

    def remove_all(self, *, keep_result: bool) -> int:
        """Remove plaintext, and the sealed result unless it is kept; return the number of files left over."""
        for sink in self._sinks.values():
            sink.close()
        self._sinks.clear()
        self._unpacked.clear()
        kept = self._root / "sealed" if keep_result else None
        for entry in self._root.iterdir():
            if entry != kept:
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()
        left = _count(self._root) - (_count(kept) if kept is not None else 0)
        self._make()
        return left

    def _unpack(self, index: int, length: int) -> None:
        folder = self.input_dir(index)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with self._archive(index).open("rb", buffering=0) as archive:
                unpack(archive, descriptor, Quota(content_bytes=length))
        finally:
            os.close(descriptor)

    def _archive(self, index: int) -> Path:
        return self._root / "plain" / "archives" / str(index)

    def _make(self) -> None:
        for name in ("plain/archives", "plain/inputs", "sealed"):
            (self._root / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def _count(path: Path) -> int:
    """Count whatever is not a folder below `path`; files that vanish meanwhile are gone."""
    return sum(len(names) for _, _, names in os.walk(path))
