"""A provider's ciphertext: fetched once for all orders, kept within a size, never removed under an order.

    sealed/NAME         a whole sealed stream; NAME is its ciphertext digest in hex, so it is verified by name
    partial/NAME        one on its way (`partial.PartialFile`); its full size is reserved from the start
    pins/ORDER/NAME     an empty file: ORDER needs NAME until `let_go`; who runs ORDER has its folder locked

Nothing here is secret and nothing is believed after a crash: names appear by rename after a sync, pins are
made before what they pin, and what is on its way proves itself. Several processes may share a cache.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from enclave_runtime.sealed.header import SealedInfo
from marketplace.storage.base import BlobNotFoundError, BlobStore, Progress, StorageError
from marketplace.storage.partial import PartialFile
from marketplace.storage.patience import SYSTEM, Patience, Shell
from marketplace.storage.transfer import transfer

__all__ = ["CacheFullError", "CiphertextCache"]


class CacheFullError(StorageError):
    """A blob does not fit beside those that running orders need."""


class CiphertextCache:
    """Sealed streams in a folder, by ciphertext digest."""

    def __init__(
        self,
        root: Path,
        limit_bytes: int,
        store_of: Callable[[str], BlobStore],
        *,
        patience: Patience | None = None,
        shell: Shell = SYSTEM,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Make the folders where they are missing.

        Args:
            limit_bytes: of all that is kept and on its way, together.
            now_ns: the time that says which blob was used last.
        """
        self._root = root
        self._limit = limit_bytes
        self._store_of = store_of
        self._patience = patience
        self._shell = shell
        self._now_ns = now_ns
        self._running: dict[str, int] = {}
        self._running_lock = threading.Lock()
        weakref.finalize(self, _close_all, self._running)
        for name in ("sealed", "partial", "pins"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def hold(
        self,
        order_id: bytes,
        info: SealedInfo,
        locations: Sequence[str],
        *,
        progress: Progress | None = None,
    ) -> Path:
        """Return the file with the ciphertext of `info`, fetched where it is missing, pinned by the order.

        Raises:
            CacheFullError: it does not fit, whatever was removed that no order needs.
            NoLocationError: no location has it; what was fetched stays for the next attempt.
            StorageError: the folder cannot be written, or its disk is full.
        """
        try:
            return self._hold(order_id, info, locations, progress)
        except OSError as error:
            raise StorageError(
                f"cache {self._root}: got {error.strerror or error}, expected a folder with room",
                hint="free some of its disk, or give [storage.cache] another folder",
            ) from error

    def _hold(
        self, order_id: bytes, info: SealedInfo, locations: Sequence[str], progress: Progress | None
    ) -> Path:
        final = self._final(info)
        self._pin(order_id, final.name)
        with self._alone():
            if self._touch(final, info):
                return final
            self._make_room(final.name, info.ciphertext_bytes)
        partial = PartialFile(self._root / "partial" / final.name, info)
        try:
            if self._touch(final, info):  # another process was faster, and we waited for it
                (self._root / "partial" / final.name).unlink(missing_ok=True)
                return final
            transfer(
                locations,
                self._store_of,
                info,
                partial,
                has_head=partial.has_head,
                patience=self._patience,
                shell=self._shell,
                progress=progress,
            )
            partial.finish(final)
            self._touch(final, info)
        finally:
            partial.close()
        return final

    def has(self, info: SealedInfo) -> bool:
        """Whether the whole of it is here."""
        return self._final(info).is_file()

    def path(self, info: SealedInfo) -> Path:
        """Return the file that has the ciphertext of `info`.

        Raises:
            BlobNotFoundError: it is not here.
        """
        final = self._final(info)
        if not final.is_file():
            raise BlobNotFoundError(f"cache: got no {final.name}, expected it to be held before it is read")
        return final

    def forget(self, info: SealedInfo) -> None:
        """Remove a blob whose bytes turned out wrong (a disk that fails); it is fetched again when needed."""
        with self._alone():
            self._final(info).unlink(missing_ok=True)

    def let_go(self, order_id: bytes) -> None:
        """Remove an order's pins; no error if it has none."""
        self._let_go(order_id.hex())

    def keep_only(self, order_ids: Collection[bytes]) -> None:
        """Remove the pins of all other orders: after a crash, those that ended without `let_go`.

        Those of orders that another living process runs stay.
        """
        live = {order_id.hex() for order_id in order_ids}
        for order in set(self._running) - live:
            self._let_go(order)
        for folder in (self._root / "pins").iterdir():
            if folder.name not in live:
                _remove_idle(folder)

    @property
    def used_bytes(self) -> int:
        """How much is kept and reserved."""
        return sum(size for _, size, _ in self._files())

    def _final(self, info: SealedInfo) -> Path:
        return self._root / "sealed" / info.ciphertext_digest.hex()

    def _pin(self, order_id: bytes, name: str) -> None:
        order = order_id.hex()
        folder = self._root / "pins" / order
        with self._running_lock:
            while order not in self._running:
                folder.mkdir(exist_ok=True)
                descriptor = _shared(folder)
                if descriptor is not None:
                    self._running[order] = descriptor
            (folder / name).touch()

    def _let_go(self, order: str) -> None:
        with self._running_lock:
            shutil.rmtree(self._root / "pins" / order, ignore_errors=True)
            descriptor = self._running.pop(order, None)
            if descriptor is not None:
                os.close(descriptor)

    def _touch(self, final: Path, info: SealedInfo) -> bool:
        """Mark a blob as used now; False where it is not here in full."""
        try:
            if final.stat().st_size != info.ciphertext_bytes:
                final.unlink()
                return False
            now = self._now_ns()
            os.utime(final, ns=(now, now))
        except FileNotFoundError:
            return False
        return True

    def _make_room(self, name: str, size: int) -> None:
        """Remove what was not used for longest and no order needs, until `size` more bytes fit; reserve them.

        Raises:
            CacheFullError: they do not fit, whatever were removed; nothing was.
        """
        pinned = {path.name for path in (self._root / "pins").glob("*/*")}
        files = sorted(self._files(), key=lambda item: item[2])
        used = sum(length for path, length, _ in files if path.name != name)
        needless = []
        for path, length, _ in files:
            if used + size <= self._limit:
                break
            if path.name not in pinned and path.name != name and _is_idle(path):
                needless.append(path)
                used -= length
        if used + size > self._limit:
            raise CacheFullError(
                f"cache: got {size} bytes to keep beside {used} that running orders need, "
                f"expected at most {self._limit} together",
                hint="raise gib in [storage.cache], or take fewer orders at once",
            )
        for path in needless:
            path.unlink(missing_ok=True)
        reserved = self._root / "partial" / name
        if not reserved.exists():
            with open(reserved, "wb") as file:
                file.truncate(size)

    def _files(self) -> Iterator[tuple[Path, int, int]]:
        """Give (path, reserved bytes, time of last use) of every blob."""
        for folder in ("sealed", "partial"):
            for path in (self._root / folder).iterdir():
                with suppress(FileNotFoundError):
                    facts = path.stat()
                    yield path, facts.st_size, facts.st_mtime_ns

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes and threads from counting and removing meanwhile."""
        descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _shared(folder: Path) -> int | None:
    """Return a descriptor of `folder` with a shared lock; None if somebody removed it meanwhile."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            return descriptor
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _remove_idle(folder: Path) -> None:
    """Remove a folder that nobody has locked."""
    with suppress(FileNotFoundError, NotADirectoryError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            return
        finally:
            os.close(descriptor)


def _close_all(running: dict[str, int]) -> None:
    while running:
        os.close(running.popitem()[1])


def _is_idle(path: Path) -> bool:
    """Whether the file is there and nobody is working on it."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True
