"""The two hashes of the protocol: tagged SHA-256 for our own objects, Keccak-256 for the chain's."""

from __future__ import annotations

import hashlib

__all__ = ["keccak256", "sha256", "tagged"]


def tagged(tag: str, *parts: bytes) -> bytes:
    """Return SHA-256("cloister:" || tag || 0x00 || for each part: length as u64 big endian || part).

    The tag keeps a digest made for one purpose from serving another; the lengths keep two lists of
    parts from sharing one digest.

    Args:
        tag: ASCII, with its version, such as "content/v1".
        parts: any number of byte strings.
    """
    pieces = [b"cloister:", tag.encode("ascii"), b"\x00"]
    for part in parts:
        pieces += (len(part).to_bytes(8, "big"), part)
    return hashlib.sha256(b"".join(pieces)).digest()  # in one call: parts are many and small


def sha256(data: bytes) -> bytes:
    """Return the plain SHA-256 of `data`, 32 bytes."""
    return hashlib.sha256(data).digest()


def keccak256(data: bytes) -> bytes:
    """Return Keccak-256 of `data` as the EVM computes it, 32 bytes."""
    # Loading it takes a third of a short command's time, and many hash nothing for the chain.
    from Crypto.Hash import keccak

    return keccak.new(digest_bits=256, data=data).digest()
