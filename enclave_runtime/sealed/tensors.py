"""Tensors out of a sealed `safetensors` file, each by its own segments (docs/protocol.md section 3.3).

    file = length of header (u64, little-endian) || header (JSON) || data

The header comes from whoever made the model, so it is read within limits, and every tensor must lie in the
data, as long as its shape says, after the one before, without a gap: what the format's own reader demands.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from enclave_runtime.sealed.members import Content
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_HEADER_BYTES", "SealedTensors", "Tensor"]

MAX_HEADER_BYTES: Final = 16 << 20
_MAX_TENSORS: Final = 1 << 17
_MAX_DIMENSIONS: Final = 16
_LENGTH_BYTES: Final = 8
_METADATA: Final = "__metadata__"
_BITS: Final = {
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where one tensor lies.

    Attributes:
        dtype: the format's own word: "BF16", "F32" and so on.
        shape: length of each dimension; none for a single number.
        offset: of its bytes in the file.
        size: bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


class SealedTensors:
    """The tensors of one file, by name, in the order of their data."""

    def __init__(self, content: Content) -> None:
        """Read the header.

        Args:
            content: the whole file: a `SealedReader`, or a `Member` of a sealed archive.
        Raises:
            WireError: no header of this format, or one beyond its limits.
            CiphertextMismatchError, RefusedError: as the content's own.
        """
        self._content = content
        length = int.from_bytes(self._read(0, _LENGTH_BYTES), "little")
        if not 2 <= length <= min(MAX_HEADER_BYTES, content.size - _LENGTH_BYTES):
            raise WireError(f"safetensors header: got {length} bytes, expected at most {MAX_HEADER_BYTES}")
        base = _LENGTH_BYTES + length
        self.metadata, self._tensors = _parse(self._read(_LENGTH_BYTES, length), base, content.size)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._tensors.values())

    def __len__(self) -> int:
        return len(self._tensors)

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def read(self, name: str) -> bytearray:
        """Return a tensor's bytes, little-endian, row by row; errors as `read_into`."""
        data = bytearray(self._tensors[name].size)
        self.read_into(name, memoryview(data))
        return data

    def read_into(self, name: str, view: memoryview) -> None:
        """Fill `view`, exactly as long as the tensor: memory that is used again costs no first touch.

        Raises:
            KeyError: no tensor of this name.
            ValueError: `view` has another length.
            CiphertextMismatchError, RefusedError: as the content's own.
        """
        tensor = self._tensors[name]
        if len(view) != tensor.size:
            raise ValueError(f"tensor: got a view of {len(view)} bytes, expected {tensor.size}")
        if self._content.read_at(tensor.offset, view) != tensor.size:
            raise WireError("safetensors: the file ends within a tensor")

    def _read(self, offset: int, size: int) -> bytes:
        piece = memoryview(bytearray(size))
        if self._content.read_at(offset, piece) != size:
            raise WireError(f"safetensors: got a file of {self._content.size} bytes, expected a header")
        return bytes(piece)


def _parse(header: bytes, base: int, size: int) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        value = json.loads(
            header.decode(), object_pairs_hook=_once, parse_float=_no_number, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        raise WireError("safetensors header: got something else than JSON with each name once") from None
    if not isinstance(value, dict) or len(value) > _MAX_TENSORS:
        raise WireError(f"safetensors header: expected an object of at most {_MAX_TENSORS} tensors")
    metadata = value.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise WireError("safetensors header: expected metadata of text")
    tensors = sorted((_tensor(name, item, base) for name, item in value.items()), key=_place)
    end = base
    for tensor in tensors:
        if tensor.offset != end:
            raise WireError("safetensors header: got tensors with a gap between them, or over another")
        end += tensor.size
    if end != size:
        raise WireError(f"safetensors header: got tensors up to {end}, expected up to the end at {size}")
    return metadata, {tensor.name: tensor for tensor in tensors}


def _tensor(name: str, item: object, base: int) -> Tensor:
    if not isinstance(item, dict) or item.keys() != {"dtype", "shape", "data_offsets"}:
        raise WireError("safetensors header: expected dtype, shape and data_offsets of each tensor")
    dtype, shape, offsets = item["dtype"], item["shape"], item["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise WireError(f"safetensors header: got dtype {dtype!r:.20}, expected one of the format's")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2 or len(shape) > _MAX_DIMENSIONS:
        raise WireError("safetensors header: got a shape or offsets that are no sizes")
    length = offsets[1] - offsets[0]
    if length * 8 != math.prod(shape) * _BITS[dtype]:
        raise WireError("safetensors header: got offsets that differ from dtype and shape")
    return Tensor(name, dtype, tuple(shape), base + offsets[0], length)


def _are_sizes(value: object) -> bool:
    if not isinstance(value, list):
        return False
    return all(isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 63 for size in value)


def _place(tensor: Tensor) -> tuple[int, int]:
    return tensor.offset, tensor.size


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name came twice")
    return found


def _no_number(text: str) -> object:
    raise ValueError(f"got {text[:20]}, expected whole numbers")
