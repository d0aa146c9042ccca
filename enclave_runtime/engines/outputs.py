"""Taking an engine's output out of its sandbox without believing a word of it (docs/protocol.md section 10).

Called when nothing of the engine is left alive, on an open descriptor of its /output: no path of the engine's
is ever resolved by name from outside, no link followed, nothing but regular files read.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_runtime.engines.limits import SandboxLimits
from enclave_runtime.sealed.tarformat import name_fault

__all__ = ["MAX_DEPTH", "Collected", "OutputRefusedError", "collect"]

MAX_DEPTH: Final = 8
"""Folders in folders."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MADE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class OutputRefusedError(Exception):
    """An output that is never read. Its message names no file: names are plaintext the engine chose."""


@dataclass(slots=True)
class Collected:
    """Running totals of what was copied."""

    bytes: int = 0
    files: int = 0
    entries: int = 0


def collect(source: int, target: Path, limits: SandboxLimits) -> Collected:
    """Move the files below the open folder `source` into the folder `target`, which must be empty.

    Each file is removed from `source` once it is copied, so that memory holds one of them twice at most.

    Raises:
        OutputRefusedError: a link, device, socket or pipe; a name that no archive takes; too deep, too many,
            too large in all (a sparse or hard-linked file counts with its whole length each time).
        OSError: reading or writing failed.
    """
    total = Collected()
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise OSError("output folder: got one with files in it, expected an empty one")
    _walk(source, target, target.name, limits, total)
    return total


def _walk(source: int, target: Path, path: str, limits: SandboxLimits, total: Collected) -> None:
    """Take what lies in one folder, which the result's archive will call `path`."""
    depth = path.count("/") + 1
    if depth > MAX_DEPTH:
        raise OutputRefusedError(f"output holds folders deeper than {MAX_DEPTH}")
    with os.scandir(source) as entries:
        names = [entry.name for entry in entries]
    total.entries += len(names)
    if total.entries > limits.output_files:
        raise OutputRefusedError(f"output holds more than {limits.output_files} files and folders")
    for name in sorted(names):
        # Refused here it is the engine's failure; refused by the archive it would be the host's, and unpaid.
        if fault := name_fault(f"{path}/{name}"):
            raise OutputRefusedError(f"output holds {fault}")
        _take(source, target / name, f"{path}/{name}", limits, total)


def _take(source: int, target: Path, path: str, limits: SandboxLimits, total: Collected) -> None:
    name = target.name
    mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OutputRefusedError("output holds something else than files and folders, such as a link")
    # Unreadable modes are the engine's whim, not a fault: whoever may open the folder may change them.
    os.chmod(name, 0o700, dir_fd=source)
    descriptor = os.open(name, _READ, dir_fd=source)
    try:
        if stat.S_ISDIR(mode):
            target.mkdir(mode=0o700)
            _walk(descriptor, target, path, limits, total)
        else:
            _copy(descriptor, target, limits, total)
            os.unlink(name, dir_fd=source)
    finally:
        os.close(descriptor)


def _copy(source: int, target: Path, limits: SandboxLimits, total: Collected) -> None:
    size = os.fstat(source).st_size
    if total.bytes + size > limits.output_bytes:
        raise OutputRefusedError(f"output holds more than {limits.output_bytes} bytes")
    made = os.open(target, _MADE, 0o600)
    try:
        offset = 0
        while offset < size:
            sent = os.sendfile(made, source, offset, size - offset)
            if not sent:
                raise OSError("output: a file became shorter while it was read")
            offset += sent
    finally:
        os.close(made)
    total.bytes += size
    total.files += 1
