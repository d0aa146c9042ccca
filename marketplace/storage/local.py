"""Blobs in a folder, named by the SHA-256 of their bytes: `file:sha256/<64 hex digits>`.

A URI names content, never a place on this machine: the same blob has the same URI under any root.
A blob appears whole or not at all (written aside, synced, renamed); a run that was killed leaves only a file
in `incoming/`, which the next one removes.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from marketplace.errors import BadInputError
from marketplace.storage.base import (
    CHUNK_BYTES,
    BlobCorruptError,
    BlobNotFoundError,
    BlobTooLargeError,
    BlobUnreachableError,
    Chunk,
    Progress,
    StorageError,
    check_range,
)
from marketplace.storage.pushing import PUSHED, copy_file, file_sha256, is_fresh

__all__ = ["SCHEME", "FileRun", "LocalStore"]

SCHEME: Final = "file"
_URI: Final = re.compile(r"file:sha256/([0-9a-f]{2})([0-9a-f]{62})")
_DEFAULT_LIMIT: Final = 1 << 44
_NO_FILE: Final = {errno.EISDIR: "a folder", errno.ELOOP: "a link", errno.ENXIO: "a socket or a device"}


class LocalStore:
    """A `BlobStore` in one folder; several processes may share it."""

    def __init__(self, root: str | os.PathLike[str], *, max_blob_bytes: int = _DEFAULT_LIMIT) -> None:
        """Make the folders where they are missing and remove what killed runs left.

        Args:
            max_blob_bytes: the longest blob that `put` takes.
        Raises:
            StorageError: the folder cannot be made or read.
        """
        self._root = Path(root)
        self._incoming = self._root / "incoming"
        self._blobs = self._root / "sha256"
        self._limit = max_blob_bytes
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            self._blobs.mkdir(exist_ok=True)
            self._sweep()
        except OSError as error:
            raise StorageError(
                f"local store {self._root}: got {error.strerror or error}, expected a folder for blobs",
                hint="check whose it is, and its mode",
            ) from error

    @property
    def scheme(self) -> str:
        """`file`."""
        return SCHEME

    def put(self, chunks: Iterable[Chunk]) -> str:
        """Store the concatenation of `chunks`; see `BlobStore.put`.

        Raises:
            BlobTooLargeError: more than `max_blob_bytes`; nothing is kept.
        """
        file = self._aside()
        aside = Path(file.name)
        try:
            with file:
                name = self._write(file, chunks)
                final = self._path(name)
                final.parent.mkdir(exist_ok=True)
                os.rename(aside, final)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        _sync_folder(final.parent)
        return f"{SCHEME}:sha256/{name}"

    def push(self, path: Path, *, verify: bool = False, progress: Progress | None = None) -> str:
        """Store a file, which is read twice; see `BlobStore.push`.

        A blob that is here already is always read and compared with its name; a rotten one is replaced.
        """
        size = path.stat().st_size
        if size > self._limit:
            raise BlobTooLargeError(f"{path}: got {size} bytes, expected at most {self._limit}")
        with open(path, "rb", buffering=0) as source:
            name = file_sha256(source, size, progress)
            final = self._path(name)
            if not self.holds(f"{SCHEME}:sha256/{name}", path, progress=progress):
                final.parent.mkdir(exist_ok=True)
                copy_file(source, self._incoming / f"{PUSHED}{name}", final, name, size, progress)
                _sync_folder(final.parent)
        return f"{SCHEME}:sha256/{name}"

    def open(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Return the blob or a part of it; see `BlobStore.open`."""
        name = _name_of(uri)
        file = self._open(uri)
        size = os.fstat(file.fileno()).st_size
        try:
            wanted = check_range(uri, size, offset, length)
        except BadInputError:
            file.close()
            raise
        whole = wanted == size
        return _stream(file, uri, offset, wanted, name if whole else None)

    def run(self, uri: str, offset: int, length: int) -> FileRun:
        """Return a part of a blob, to be read into the caller's memory; see `BlobStore.run`."""
        file = self._open(uri)
        try:
            check_range(uri, os.fstat(file.fileno()).st_size, offset, length)
        except BadInputError:
            file.close()
            raise
        return FileRun(file, offset, length, uri)

    def size(self, uri: str) -> int:
        """Return the length of a blob in bytes; see `BlobStore.size`."""
        with self._open(uri) as file:
            return os.fstat(file.fileno()).st_size

    def exists(self, uri: str) -> bool:
        """Return whether the blob is here."""
        return self._path(_name_of(uri)).is_file()

    def holds(self, uri: str, path: Path, *, verify: bool = False, progress: Progress | None = None) -> bool:
        """Whether the blob is here, as long as a file, and has the bytes that its name says: always read."""
        expected = path.stat().st_size
        try:
            with self._open(uri) as file, _readable(uri):
                size = os.fstat(file.fileno()).st_size
                return size == expected and file_sha256(file, size, progress) == _name_of(uri)
        except (BlobNotFoundError, BlobCorruptError, BlobUnreachableError):
            return False  # a disk that cannot read it: it is written anew

    def delete(self, uri: str) -> None:
        """Forget a blob; no error if it is not here."""
        self._path(_name_of(uri)).unlink(missing_ok=True)

    def _aside(self) -> FileIO:
        """Return a new file in `incoming/`, locked for as long as it is open."""
        while True:
            file = FileIO(self._incoming / secrets.token_hex(16), "x")
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()  # another process swept it away between its birth and its lock

    def _write(self, file: FileIO, chunks: Iterable[Chunk]) -> str:
        digest = hashlib.sha256()
        total = 0
        for chunk in chunks:
            rest = memoryview(chunk)
            total += len(rest)
            if total > self._limit:
                raise BlobTooLargeError(
                    f"blob: got more than {self._limit} bytes, expected at most that many"
                )
            digest.update(rest)
            while rest:
                rest = rest[file.write(rest) :]
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())
        return digest.hexdigest()

    def _open(self, uri: str) -> FileIO:
        path = self._path(_name_of(uri))
        try:
            return _regular(path, uri)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BlobNotFoundError(
                f"{uri}: got nothing under this name, expected a blob", hint="use another location"
            ) from error
        except OSError as error:
            raise _unreadable(uri, error) from error

    def _path(self, name: str) -> Path:
        return self._blobs / name[:2] / name[2:]

    def _sweep(self) -> None:
        """Remove files aside that no living process holds locked; pushes that may go on stay for a while."""
        for path in self._incoming.iterdir():
            if path.name.startswith(PUSHED) and is_fresh(path):
                continue
            try:
                with FileIO(path, "r", opener=_no_wait) as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
            except OSError:  # locked, gone meanwhile, or somebody else's: no reason to refuse the store
                continue


class FileRun:
    """A `Run` over a file that is open; it closes the file."""

    def __init__(self, file: FileIO, offset: int, length: int, uri: str = "file") -> None:
        self._file = file
        self._uri = uri
        self._left = length
        file.seek(offset)

    def readinto(self, buffer: memoryview) -> int:
        """See `Run.readinto`."""
        with _readable(self._uri):
            got = self._file.readinto(buffer[: self._left])
        self._left -= got
        return got

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _no_wait(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _regular(path: Path, uri: str) -> FileIO:
    """Open a blob's file: a pipe would have no end, and a link or a device could be anything here.

    Raises:
        BlobCorruptError: it is something else.
        OSError: it cannot be opened.
    """
    try:
        file = FileIO(path, "r", opener=_no_wait)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise _corrupt(path, uri, _NO_FILE[error.errno]) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _corrupt(path, uri, "a pipe or a device")
    return file


def _corrupt(path: Path, uri: str, got: str) -> BlobCorruptError:
    return BlobCorruptError(
        f"{uri}: got {got}, expected a blob",
        hint=f"something else wrote {path}: remove it, or use another location",
    )


def _name_of(uri: str) -> str:
    match = _URI.fullmatch(uri)
    if not match:
        raise BadInputError("blob URI", repr(uri[:100]), "file:sha256/<64 lower-case hex digits>")
    return match[1] + match[2]


def _stream(file: FileIO, uri: str, offset: int, wanted: int, name: str | None) -> Iterator[bytes]:
    """Give `wanted` bytes; where `name` is known, keep the last piece back until the digest was compared."""
    digest = hashlib.sha256()
    held = b""
    with file:
        file.seek(offset)
        while wanted:
            with _readable(uri):
                piece = file.read(min(wanted, CHUNK_BYTES))
            if not piece:
                raise BlobCorruptError(f"{uri}: got {wanted} bytes less than at first, expected no change")
            wanted -= len(piece)
            if name is None:
                yield piece
                continue
            if held:
                yield held
            digest.update(piece)
            held = piece
    if name is not None:
        if digest.hexdigest() != name:
            raise BlobCorruptError(f"{uri}: got bytes with SHA-256 {digest.hexdigest()}, expected {name}")
        if held:
            yield held


@contextmanager
def _readable(uri: str) -> Iterator[None]:
    """Say of a disk that fails under a blob what any other location would have to say: ask the next one."""
    try:
        yield
    except OSError as error:
        raise _unreadable(uri, error) from error


def _unreadable(uri: str, error: OSError) -> BlobUnreachableError:
    return BlobUnreachableError(
        f"{uri}: got {error.strerror or error}, expected a blob that can be read",
        hint="check mode and disk of the local store, or use another location",
    )


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
