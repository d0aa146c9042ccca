"""Images handed to the kernel, where it takes them (docs/protocol.md section 3.1, ADR 0024).

Mounting needs rights that a sandbox seldom gives, EROFS in the kernel, and an image in a file (Linux 6.12) or
a loop device. `can_mount` finds out by doing it; where it says no, the archive is unpacked as ever.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from enclave_runtime.sealed.buffers import Readable, read_full, write_full
from enclave_runtime.sealed.image import ImageReader
from enclave_runtime.wire.errors import EnclaveError

__all__ = ["MountError", "can_mount", "mount_image", "unmount", "write_image"]

_READ_ONLY: Final = 1 | 2 | 4  # MS_RDONLY | MS_NOSUID | MS_NODEV
_DETACH: Final = 2
_PIECE: Final = 1 << 20


class MountError(EnclaveError):
    """The kernel did not take the image; it may be unpacked instead."""


def mount_image(image: Path, folder: Path) -> None:
    """Mount an image that `image.check_image` passed, read-only, without set-user-ids and devices.

    Args:
        image: a file that nobody can change: on the CVM's own tmpfs.
        folder: an empty directory.
    Raises:
        MountError: no rights, no EROFS, neither files nor loop devices.
    """
    words = (os.fsencode(image), os.fsencode(folder), b"erofs")
    if _libc().mount(*words, ctypes.c_ulong(_READ_ONLY), None) == 0:
        return
    reason = os.strerror(ctypes.get_errno())
    command = ["mount", "-t", "erofs", "-o", "ro,nosuid,nodev,loop", str(image), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MountError(f"mount: {reason}; by a loop device: {error}") from None
    if done.returncode:
        raise MountError(f"mount: {reason}; by a loop device: exit {done.returncode}")


def unmount(folder: Path) -> None:
    """Take an image away, at once where nobody uses it, else when the last one is done.

    Raises:
        MountError: nothing is mounted there, or no rights.
    """
    if _libc().umount2(os.fsencode(folder), _DETACH):
        raise MountError(f"unmount: {os.strerror(ctypes.get_errno())}")


def can_mount() -> bool:
    """Say whether an image of nothing can be mounted and taken away, here and by this process."""
    with tempfile.TemporaryDirectory() as name:
        image, folder, empty = (Path(name) / word for word in ("image", "folder", "empty"))
        folder.mkdir()
        empty.mkdir()
        with ImageReader(empty) as reader:
            write_image(reader, image)
        try:
            mount_image(image, folder)
            unmount(folder)
        except MountError:
            return False
        return True


def write_image(source: Readable, path: Path) -> None:
    """Write all that `source` gives into a new file.

    Raises:
        FileExistsError: the file is there.
    """
    buffer = memoryview(bytearray(_PIECE))
    with path.open("xb", buffering=0) as file:
        while got := read_full(source, buffer):
            write_full(file, buffer[:got])


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
