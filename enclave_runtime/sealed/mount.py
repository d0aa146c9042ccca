"""Images handed to the kernel, where it takes them (docs/protocol.md section 3.1, ADR 0027).

Mounting needs rights that a CVM's one process has and a sandboxed one has not, EROFS in the kernel with
blocks of 512 bytes (Linux 6.4), and, on a tmpfs, a loop device. `can_mount` finds out by doing it; where it
says no, the archive is unpacked as ever.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from enclave_runtime.sealed.erofs import HEAD_BYTES
from enclave_runtime.sealed.image import make_image
from enclave_runtime.sealed.tarformat import END_BYTES
from enclave_runtime.sealed.tarwalk import Quota
from enclave_runtime.wire.errors import EnclaveError

__all__ = ["MountError", "can_mount", "mount_image", "unmount"]

_READ_ONLY: Final = 1 | 2 | 4  # MS_RDONLY | MS_NOSUID | MS_NODEV
_DETACH: Final = 2
_TIMEOUT_S: Final = 30


class MountError(EnclaveError):
    """The kernel did not take the image, or does not let it go; it may be unpacked instead."""


def mount_image(image: Path, folder: Path) -> None:
    """Mount a file that `image.make_image` made, read-only, without set-user-ids and devices.

    Args:
        image: nobody can change it while it is mounted.
        folder: an empty directory.
    Raises:
        MountError: no rights, no EROFS, neither files nor loop devices.
    """
    words = (os.fsencode(image), os.fsencode(folder), b"erofs")
    if _libc().mount(*words, ctypes.c_ulong(_READ_ONLY), None) == 0:
        return
    reason = ctypes.get_errno()
    if reason in (errno.EPERM, errno.EACCES, errno.ENODEV):
        raise MountError(f"mount: {os.strerror(reason)}")
    command = ["mount", "-t", "erofs", "-o", "ro,nosuid,nodev,loop", str(image), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MountError(f"mount: {os.strerror(reason)}; by a loop device: {type(error).__name__}") from None
    if done.returncode:
        raise MountError(f"mount: {os.strerror(reason)}; by a loop device: exit {done.returncode}")


def unmount(folder: Path) -> None:
    """Take an image away.

    Raises:
        MountError: nothing is mounted there, no rights, or it is in use: then it goes with its last user.
    """
    libc = _libc()
    if libc.umount2(os.fsencode(folder), 0):
        reason = ctypes.get_errno()
        libc.umount2(os.fsencode(folder), _DETACH)
        raise MountError(f"unmount: {os.strerror(reason)}")


def can_mount(place: Path) -> bool:
    """Say whether an image of nothing can be mounted and taken away, by this process and in this folder."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        image, folder = Path(name, "image"), Path(name, "folder")
        folder.mkdir()
        with image.open("xb+", buffering=0) as file:
            file.truncate(HEAD_BYTES + END_BYTES)
            make_image(file.fileno(), END_BYTES, Quota(0, 0))
        try:
            mount_image(image, folder)
            unmount(folder)
        except MountError:
            return False
        return True


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
