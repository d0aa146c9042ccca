"""Memory for keys: locked against swap, kept out of dumps and of children, zeroed when it is given up.

On hardware the CVM's memory is encrypted, and `host.harden` locks all of it where the platform lets it; where
it does not, or outside of a CVM, this locks the one page that holds a key. What Python copies out of it
(`bytes`, an argument of a library) is beyond reach, so callers hand the view itself on, and ask for no copy.
"""

from __future__ import annotations

import ctypes
import mmap
from functools import cache
from types import TracebackType
from typing import Final

from enclave_runtime.wire.errors import EnclaveError

__all__ = ["LockedBuffer", "LockedBufferErasedError", "wipe"]

_MADV_WIPEONFORK: Final = 18


class LockedBufferErasedError(EnclaveError):
    """A buffer was used after it was erased."""


def wipe(buffer: bytearray | memoryview) -> None:
    """Overwrite `buffer` with zeros, in place."""
    buffer[:] = bytes(len(buffer))


class LockedBuffer:
    """A few bytes on pages of their own. Prints as its class; cannot be copied or pickled by accident.

    Attributes:
        locked: whether the kernel keeps the page from swap; False where RLIMIT_MEMLOCK is used up. Not an
            error: a machine without swap, or with encrypted memory, needs no lock.
    """

    def __init__(self, size: int) -> None:
        """Take `size` zero bytes.

        Raises:
            ValueError: no bytes at all.
            OSError: no memory.
        """
        if size < 1:
            raise ValueError(f"locked buffer: got {size} bytes, expected at least one")
        self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._view: memoryview | None = memoryview(self._map)[:size]
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self._size = size
        for advice in (mmap.MADV_DONTDUMP, _MADV_WIPEONFORK):
            self._map.madvise(advice)
        self.locked = _libc().mlock(ctypes.c_void_p(self._address), ctypes.c_size_t(size)) == 0

    @classmethod
    def holding(cls, data: bytes | bytearray | memoryview) -> LockedBuffer:
        """Return a buffer with a copy of `data`."""
        made = cls(len(data))
        made.view()[:] = data
        return made

    def __enter__(self) -> LockedBuffer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.erase()

    def __reduce__(self) -> str:
        """Refuse pickling and copying: what is locked here stays here."""
        raise TypeError("a locked buffer cannot be copied")

    def __len__(self) -> int:
        return self._size

    def view(self) -> memoryview:
        """Return the bytes themselves, writable; no copy.

        Raises:
            LockedBufferErasedError: they were erased.
        """
        if self._view is None:
            raise LockedBufferErasedError("locked buffer: it was erased")
        return self._view

    def erase(self) -> None:
        """Overwrite with zeros and give the page back. May be called twice."""
        if self._view is None:
            return
        wipe(self._view)
        self._view.release()
        self._view = None
        if self.locked:
            _libc().munlock(ctypes.c_void_p(self._address), ctypes.c_size_t(self._size))
        try:
            self._map.close()
        except BufferError:
            # A caller still holds a slice of the view: zeros by now; the page goes with it.
            return


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
