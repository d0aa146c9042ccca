"""What every blob store can do, and how it says that it cannot (docs/protocol.md section 10)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeAlias

from marketplace.errors import BadInputError, MarketError, NotFoundError

__all__ = [
    "CHUNK_BYTES",
    "MAX_URI_CHARS",
    "BlobCorruptError",
    "BlobNotFoundError",
    "BlobStore",
    "BlobTooLargeError",
    "Chunk",
    "StorageError",
    "UnknownSchemeError",
    "read_blob",
    "scheme_of",
]

CHUNK_BYTES: Final = 1 << 20
"""Greatest piece that a store gives at once."""
MAX_URI_CHARS: Final = 2048

Chunk: TypeAlias = bytes | bytearray | memoryview


class StorageError(MarketError):
    """A blob could not be stored or fetched."""


class BlobNotFoundError(StorageError, NotFoundError):
    """The store does not have this blob: try another location."""


class BlobCorruptError(StorageError):
    """What the store has under this name is something else: drop it and try another location."""


class BlobTooLargeError(StorageError):
    """More bytes than the store, or the caller, takes."""


class UnknownSchemeError(StorageError):
    """No store of ours speaks this scheme."""


class BlobStore(Protocol):
    """Immutable blobs under URIs that the store gives out. Blocking; safe to use from several threads."""

    @property
    def scheme(self) -> str:
        """The scheme of its URIs, such as `file`."""

    def put(self, chunks: Iterable[Chunk]) -> str:
        """Store the concatenation of `chunks` in one pass and return its URI; all of it, or nothing.

        Each chunk is used before the next is asked for, so a producer may reuse its buffer.

        Raises:
            BlobTooLargeError: more than the store takes.
            StorageError: it could not be stored.
        """

    def open(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Return the blob, or `length` bytes of it from `offset` on, in pieces.

        A whole blob is verified as it streams: the last piece comes only if the rest was right. A part
        cannot be; whoever asks for parts has digests of parts.

        Raises:
            BlobNotFoundError: not here.
            BlobCorruptError: while iterating: not what the URI names.
            BadInputError: not a URI of this store, or a range outside the blob.
        """

    def size(self, uri: str) -> int:
        """Return the length in bytes; raises as `open`."""

    def exists(self, uri: str) -> bool:
        """Return whether the store has this blob; raises BadInputError as `open`."""


def read_blob(store: BlobStore, uri: str, *, limit: int) -> bytes:
    """Return a whole small blob, such as a manifest.

    Raises:
        BlobTooLargeError: longer than `limit` bytes; nothing was read then.
        StorageError, BadInputError: as `BlobStore.open`.
    """
    size = store.size(uri)
    if size > limit:
        raise BlobTooLargeError(f"{uri}: got {size} bytes, expected at most {limit}")
    return b"".join(store.open(uri))


def scheme_of(uri: str) -> str:
    """Return what stands before the first colon of `uri`.

    Raises:
        BadInputError: no scheme, longer than `MAX_URI_CHARS`, or other than plain ASCII signs.
    """
    scheme, colon, rest = uri.partition(":")
    plain = all("!" <= sign <= "~" for sign in uri)
    if len(uri) > MAX_URI_CHARS or not plain or not colon or not rest or not scheme.isalnum():
        raise BadInputError("blob URI", repr(uri[:80]), "scheme:name in plain ASCII")
    return scheme.lower()
