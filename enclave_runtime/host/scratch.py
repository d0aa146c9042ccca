"""The CVM's files: one folder on a tmpfs, with all plaintext below one name, so that it can be counted.

<scratch>/plain/archives/<i>   decrypted archives; those that were unpacked go, those that were mounted stay
<scratch>/plain/inputs/<i>/    inputs as folders; 0 is the engine
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
from enclave_runtime.sealed.erofs import HEAD_BYTES
from enclave_runtime.sealed.image import make_image
from enclave_runtime.sealed.mount import MountError, can_mount, mount_image, unmount
from enclave_runtime.sealed.sink import FileSink
from enclave_runtime.sealed.unpack import Quota, unpack
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.frames import MAX_BODY_BYTES

__all__ = ["Scratch", "ScratchSink"]

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class ScratchSink:
    """A file sink that owns its descriptor: once closed, late calls do nothing, to no other file either.

    It leaves room before the archive, for what makes the file an image.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, _NEW, 0o600)
        self._sink = FileSink(self._fd)

    def reserve(self, offset: int, length: int) -> memoryview:
        """Return a buffer for `length` bytes."""
        return self._sink.reserve(HEAD_BYTES + offset, length)

    def commit(self, offset: int, view: memoryview) -> None:
        """Write the bytes at their place.

        Raises:
            OSError: closed, or the tmpfs is full.
        """
        self._check_open()
        self._sink.commit(HEAD_BYTES + offset, view)

    def read_at(self, offset: int, buffer: memoryview) -> None:
        """Read content back.

        Raises:
            OSError: closed.
        """
        self._check_open()
        self._sink.read_at(HEAD_BYTES + offset, buffer)

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

    def __init__(self, root: Path, *, mounts: bool = False) -> None:
        """Take over an empty folder.

        Args:
            mounts: whether inputs may be mounted where the kernel does that, rather than unpacked; for a
                process whose mounts go with it (`harden.private_mounts`).
        Raises:
            OSError: `root` is no folder.
            ValueError: it is not empty: what lies there could be another order's.
        """
        if any(root.iterdir()):
            raise ValueError(f"scratch: got a folder with entries, expected an empty one: {root}")
        self._root = root
        self._sinks: dict[int, ScratchSink] = {}
        self._ready: set[int] = set()
        self._mounted: set[int] = set()
        self._can_mount: bool | None = None if mounts else False
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
        """Return the folder of one input."""
        return self._root / "plain" / "inputs" / str(index)

    def open_sink(self, index: int) -> ScratchSink:
        """Return an empty file for one input's archive."""
        if index in self._sinks:
            self._sinks[index].close()
        self._sinks[index] = ScratchSink(self._archive(index))
        return self._sinks[index]

    def unpack(self, lengths: tuple[int, ...]) -> None:
        """Make a folder of every archive that is not yet one, mounted where the kernel lets us.

        Raises:
            InputFaultError: an archive that our own packer would not have written.
            OSError: no room; call again when there is.
        """
        for index, length in enumerate(lengths):
            if index in self._ready:
                continue
            try:
                self._make_folder(index, length)
            except RefusedError as refusal:
                raise InputFaultError(index, refusal) from None
            self._ready.add(index)

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
        """Remove plaintext, and the sealed result unless it is kept; return the number of files left over.

        An input that the kernel does not let go counts as one.
        """
        for sink in self._sinks.values():
            sink.close()
        self._sinks.clear()
        self._ready.clear()
        left = self._unmount_all()
        kept = self._root / "sealed" if keep_result else None
        for entry in self._root.iterdir():
            if entry != kept:
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()
        left += _count(self._root) - (_count(kept) if kept is not None else 0)
        self._make()
        return left

    def _make_folder(self, index: int, length: int) -> None:
        folder = self.input_dir(index)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        self._sinks[index].close()  # whoever discards late must not cut what is mounted
        path, quota = self._archive(index), Quota(content_bytes=length)
        with path.open("rb+", buffering=0) as archive:
            if self._may_mount() and self._mount(archive.fileno(), index, length, quota):
                return
            archive.truncate(HEAD_BYTES + length)
            archive.seek(HEAD_BYTES)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                unpack(archive, descriptor, quota)
            finally:
                os.close(descriptor)
        path.unlink()

    def _may_mount(self) -> bool:
        if self._can_mount is None:
            self._can_mount = can_mount(self._root / "plain")
        return self._can_mount

    def _mount(self, archive: int, index: int, length: int, quota: Quota) -> bool:
        """Mount an archive where it lies, and return whether the kernel took it."""
        try:
            make_image(archive, length, quota)
            mount_image(self._archive(index), self.input_dir(index))
        except (MountError, WireError):
            return False
        self._mounted.add(index)
        return True

    def _unmount_all(self) -> int:
        """Unmount every input; return how many the kernel keeps for somebody."""
        kept = 0
        while self._mounted:
            try:
                unmount(self.input_dir(self._mounted.pop()))
            except MountError:
                kept += 1
        return kept

    def _archive(self, index: int) -> Path:
        return self._root / "plain" / "archives" / str(index)

    def _make(self) -> None:
        for name in ("plain/archives", "plain/inputs", "sealed"):
            (self._root / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def _count(path: Path) -> int:
    """Count whatever is not a folder below `path`; files that vanish meanwhile are gone."""
    return sum(len(names) for _, _, names in os.walk(path))
