"""An archive made a file system where it lies (docs/protocol.md section 3.1, ADR 0027).

Inside the CVM. The archive was proven by its digest and stays as it is, `erofs.HEAD_BYTES` into its file;
around it come structures made from its entries, each judged as `unpack` judges it. What `mount` then hands to
the kernel has content of other people's, and not one byte of structure.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from enclave_runtime.sealed.buffers import write_full_at
from enclave_runtime.sealed.erofs import HEAD_BYTES, SUPER_OFFSET, structures
from enclave_runtime.sealed.members import entries_of
from enclave_runtime.sealed.ranges import FileSource
from enclave_runtime.sealed.tarwalk import Quota

__all__ = ["make_image"]


def make_image(fd: int, length: int, quota: Quota) -> int:
    """Add to a file with an archive in it what makes it an image; return the number of entries.

    Args:
        fd: open for reading and writing; the archive stands at `HEAD_BYTES`, and nobody else can change it.
        length: of the archive in bytes. What stands behind it is written over.
    Raises:
        RefusedError: steps `archive.*`, as `unpack`.
        WireError: beyond the image format's limit of 2 TiB; it can still be unpacked.
        OSError: no room.
    """
    placed = list(entries_of(_Archive(FileSource(fd), length), quota))
    superblock, behind = structures(placed, length)
    os.ftruncate(fd, HEAD_BYTES + length)
    write_full_at(fd, memoryview(behind), HEAD_BYTES + length)
    write_full_at(fd, memoryview(superblock), SUPER_OFFSET)
    return len(placed)


@dataclass(frozen=True, slots=True)
class _Archive:
    """The archive alone, as `members.Content`."""

    file: FileSource
    size: int

    def read_at(self, offset: int, buffer: memoryview) -> int:
        wanted = max(0, min(len(buffer), self.size - offset))
        return self.file.read_at(HEAD_BYTES + offset, buffer[:wanted]) if wanted else 0
