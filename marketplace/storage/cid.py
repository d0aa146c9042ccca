"""Content identifiers of IPFS, as far as SHA-256 goes: parsed, made, compared; never believed. Pure.

CIDv1 = "b" || base32(0x01 || codec || multihash), CIDv0 = base58(multihash) of codec dag-pb
multihash = 0x12 || 0x20 || SHA-256 of the block
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from marketplace.errors import BadInputError
from marketplace.storage.base import BlobCorruptError, Chunk

__all__ = ["DAG_PB", "RAW", "Cid"]

RAW: Final = 0x55
"""Codec of a block that is bytes of content alone."""
DAG_PB: Final = 0x70
"""Codec of a block that has links."""

_SHA256: Final = b"\x12\x20"
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_V0_CHARS: Final = 46
_V1_CHARS: Final = 59


@dataclass(frozen=True, slots=True)
class Cid:
    """The name of one block.

    Attributes:
        codec: `RAW` or `DAG_PB`.
        digest: SHA-256 of the block, 32 bytes.
    """

    codec: int
    digest: bytes

    @classmethod
    def of(cls, codec: int, block: Chunk) -> Cid:
        """Return the name of `block`."""
        return cls(codec, hashlib.sha256(block).digest())

    @classmethod
    def parse(cls, text: str) -> Cid:
        """Return the identifier that `text` is.

        Raises:
            BadInputError: neither CIDv1 in base32 nor CIDv0, or of another codec or hash.
        """
        data = _base58(text) if len(text) == _V0_CHARS and text.startswith("Qm") else None
        if data is not None and data[:2] == _SHA256 and len(data) == 34:
            return cls(DAG_PB, data[2:])
        if len(text) == _V1_CHARS and text.startswith("b") and text == text.lower():
            made = cls._from_v1(text)
            # Unused bits at the end would give one block two names.
            if made is not None and str(made) == text:
                return made
        raise BadInputError(
            "CID", repr(text[:80]), "CIDv1 in base32, or CIDv0, of raw or dag-pb with SHA-256"
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Cid:
        """Return the identifier in a link: binary CIDv1, or a bare multihash for CIDv0.

        Raises:
            BlobCorruptError: another codec or hash.
        """
        if len(data) == 34 and data[:2] == _SHA256:
            return cls(DAG_PB, data[2:])
        if len(data) == 36 and data[0] == 1 and data[1] in (RAW, DAG_PB) and data[2:4] == _SHA256:
            return cls(data[1], data[4:])
        raise BlobCorruptError(f"link: got {data[:8].hex()}, expected raw or dag-pb with SHA-256")

    def to_bytes(self) -> bytes:
        """Return the binary CIDv1, 36 bytes."""
        return bytes([1, self.codec]) + _SHA256 + self.digest

    def __str__(self) -> str:
        """Return CIDv1 in base32, whichever version it was parsed from."""
        return "b" + base64.b32encode(self.to_bytes()).decode("ascii").rstrip("=").lower()

    @classmethod
    def _from_v1(cls, text: str) -> Cid | None:
        padded = text[1:].upper() + "=" * (-len(text[1:]) % 8)
        try:
            return cls.from_bytes(base64.b32decode(padded))
        except (ValueError, BlobCorruptError):
            return None


def _base58(text: str) -> bytes | None:
    number = 0
    for sign in text:
        digit = _BASE58.find(sign)
        if digit < 0:
            return None
        number = number * 58 + digit
    return number.to_bytes(34, "big") if number < 1 << 272 else None
