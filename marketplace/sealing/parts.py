"""Single files and tensors out of a sealed archive, without opening the rest (docs/protocol.md section 3.3).

Each byte is proven to be what was sealed before it is written; the digest of the whole takes the whole, and
is not compared here. Headers are read from the first on, content of other files is not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from enclave_runtime.sealed.buffers import write_full
from enclave_runtime.sealed.members import Content, members
from enclave_runtime.sealed.tensors import SealedTensors, Tensor
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sealing.newfolder import filling

__all__ = ["extract"]

_PIECE: Final = 16 << 20
_ALIGNED: Final = 8


def extract(archive: Content, folder: Path, names: Sequence[str], tensors: Sequence[str] = ()) -> list[str]:
    """Write some files of an archive into `folder`, made here or empty; return their names.

    Args:
        tensors: of the one file that is named, a `safetensors` one: it is written with these alone.
    Raises:
        NotFoundError: no such file, or no such tensor; nothing was written.
        BadInputError: tensors of several files, or a folder that is not empty.
        WireError: tensors of what is no such file.
        CiphertextMismatchError, RefusedError: as the archive's own; the folder is empty again.
        OSError: it cannot be written.
    """
    if tensors and len(set(names)) != 1:
        raise BadInputError(
            "--tensor", f"with {len(set(names))} files", "--only, and the one file that has it"
        )
    found = members(archive)
    for name in names:
        if name not in found:
            raise NotFoundError(f"archive: got no file {name!r} among {len(found)}, expected one")
    with filling(folder) as part:
        for name in dict.fromkeys(names):
            target = part / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if tensors:
                _write_tensors(found[name], target, dict.fromkeys(tensors))
            else:
                _write(found[name], target, b"", [(0, found[name].size)])
    return sorted(dict.fromkeys(names))


def _write_tensors(file: Content, target: Path, names: dict[str, None]) -> None:
    tensors = SealedTensors(file)
    known = {tensor.name for tensor in tensors}
    if missing := [name for name in names if name not in known]:
        raise NotFoundError(f"model: got no tensor {missing[0]!r} among {len(known)}, expected one")
    chosen = [tensor for tensor in tensors if tensor.name in names]
    header = json.dumps(_header(chosen, tensors.metadata), separators=(",", ":")).encode()
    header += b" " * (-len(header) % _ALIGNED)
    head = len(header).to_bytes(8, "little") + header
    _write(file, target, head, [(tensor.offset, tensor.size) for tensor in chosen])


def _header(chosen: Sequence[Tensor], metadata: dict[str, str]) -> dict[str, object]:
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for tensor in chosen:
        offsets = [at, at + tensor.size]
        header[tensor.name] = {"dtype": tensor.dtype, "shape": [*tensor.shape], "data_offsets": offsets}
        at += tensor.size
    return header


def _write(file: Content, target: Path, head: bytes, parts: Sequence[tuple[int, int]]) -> None:
    longest = max((size for _, size in parts), default=0)
    buffer = memoryview(bytearray(min(longest, _PIECE)))
    with target.open("xb", buffering=0) as out:
        write_full(out, memoryview(head))
        for offset, size in parts:
            for start in range(offset, offset + size, _PIECE):
                piece = buffer[: min(_PIECE, offset + size - start)]
                file.read_at(start, piece)
                write_full(out, piece)
