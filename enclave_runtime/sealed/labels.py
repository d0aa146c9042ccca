"""Every tag, key-derivation label and refusal step of this room, in one place.

A tag keeps a digest or key made for one purpose from serving another, so two purposes must never share
one: `ALL_TAGS` is what a test checks for that. Changing any of them changes digests that are on chain.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ALL_TAGS",
    "CIPHERTEXT",
    "CONTENT",
    "KEY_SHARE",
    "MANIFEST",
    "STEP_CONTENT",
    "STEP_HEADER",
    "STEP_HPKE",
    "STEP_KEY",
    "STEP_REORDERED",
    "STEP_SEGMENT",
    "STEP_TRUNCATED",
    "STREAM_COMMITMENT",
    "STREAM_KEY",
    "STREAM_PREFIX",
    "THRESHOLD",
    "THRESHOLD_ADDRESS",
    "TREE",
]

# Tags of `wire.hashes.tagged`.
TREE: Final = "sealed-tree/v1"
CONTENT: Final = "content/v1"
CIPHERTEXT: Final = "sealed-ciphertext/v1"
MANIFEST: Final = "manifest/v1"
KEY_SHARE: Final = "key-share/v1"
THRESHOLD: Final = "key-threshold/v1"
THRESHOLD_ADDRESS: Final = "key-threshold-address/v1"

# HKDF `info` prefixes; the header follows after one zero byte.
STREAM_KEY: Final = b"cloister:stream-key/v1"
STREAM_PREFIX: Final = b"cloister:stream-nonce-prefix/v1"
STREAM_COMMITMENT: Final = b"cloister:stream-key-commitment/v1"

ALL_TAGS: Final = (
    *(TREE, CONTENT, CIPHERTEXT, MANIFEST, KEY_SHARE, THRESHOLD, THRESHOLD_ADDRESS),
    *(label.decode() for label in (STREAM_KEY, STREAM_PREFIX, STREAM_COMMITMENT)),
)

# Steps of `RefusedError`: the owner's object is at fault, whoever carried it.
STEP_HEADER: Final = "sealed.header"
"""The stream's header is not what the manifest says."""
STEP_KEY: Final = "sealed.key"
"""The content key is not the one that the manifest commits to."""
STEP_SEGMENT: Final = "sealed.segment"
"""A segment does not authenticate: flipped, spliced in from another archive, or sealed badly."""
STEP_REORDERED: Final = "sealed.reordered"
"""A segment authenticates, at another place of the same stream."""
STEP_TRUNCATED: Final = "sealed.truncated"
"""A segment authenticates with the other last flag: the stream was cut or extended here."""
STEP_CONTENT: Final = "sealed.content"
"""Everything opened; its digest is not the content digest."""
STEP_HPKE: Final = "sealed.hpke"
"""A wrapped key does not open: other key, other conditions, or altered."""
