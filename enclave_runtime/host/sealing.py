"""Folders of an order's own output, sealed to its client (docs/protocol.md sections 3.5 and 7(8))."""

from __future__ import annotations

import os
from pathlib import Path

from enclave_runtime.loader.effects import EngineTask
from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.stream import seal

__all__ = ["seal_folder"]


def seal_folder(folder: Path, out: Path, task: EngineTask) -> SealedInfo:
    """Seal a folder into the file `out` with the result's key; nothing is left of `out` if it fails.

    Raises:
        RefusedError: steps `archive.*`: the folder has something that no archive takes.
        OSError: no room, or the folder changed or cannot be read.
    """
    try:
        with ArchiveReader(folder) as archive, out.open("wb", buffering=0) as file:
            return seal(
                archive,
                file,
                archive.length,
                task.content_key,
                digest_salt=task.digest_salt,
                entropy=os.urandom,
                algorithm=task.algorithm,
            )
    except BaseException:
        out.unlink(missing_ok=True)
        raise
