"""What every blob store can do, and how it says that it cannot (docs/protocol.md section 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from marketplace.errors import BadInputError, MarketError, NotFoundError

__all__ = [
    "CHUNK_BYTES",
    "MAX_URI_CHARS",
    "BlobCorruptError",
    "BlobNotFoundError",
    "BlobStore",
    "BlobTooLargeError",
    "BlobUnreachableError",
    "Chunk",
    "DishonestServerError",
    "NotConfiguredError",
    "Progress",
    "Run",
    "StorageError",
    "UnknownSchemeError",
    "check_range",
    "pieces",
    "read_blob",
    "scheme_of",
]

CHUNK_BYTES: Final = 1 << 20
"""Greatest piece that a store gives at once."""
MAX_URI_CHARS: Final = 2048

Chunk: TypeAlias = bytes | bytearray | memoryview
Progress: TypeAlias = Callable[[int, int], None]
"""Called with bytes done and bytes in all; from several threads, one at a time.

Bytes done begin anew where the same bytes are gone over once more: hashed first, say, and then sent.
"""


class StorageError(MarketError):
    """A blob could not be stored or fetched."""


class BlobNotFoundError(StorageError, NotFoundError):
    """The store does not have this blob: try another location."""


class BlobCorruptError(StorageError):
    """What the store has under this name is something else: drop it and try another location."""


class BlobTooLargeError(StorageError):
    """More bytes than the store, or the caller, takes."""


class BlobUnreachableError(StorageError):
    """No usable answer in time: worth another try, then another location."""


class DishonestServerError(StorageError):
    """An answer that contradicts itself or the question: no other try, another location."""


class UnknownSchemeError(StorageError):
    """No store of ours speaks this scheme."""


class NotConfiguredError(UnknownSchemeError):
    """A store of ours speaks this scheme, and this party's settings do not say where it is."""


class Run(Protocol):
    """Bytes of one range on their way; used by one thread, closed by whoever opened it."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill the beginning of `buffer` with the next bytes and return how many; 0 once all have come.

        Raises:
            BlobUnreachableError: cut off, stalled, or slower than the patience of whoever asked.
            BlobCorruptError, DishonestServerError: other bytes than asked for, where the store can tell.
        """

    def close(self) -> None:
        """Let go of what it holds; bytes that did not come yet are given up."""


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

    def push(self, path: Path, *, verify: bool = False, progress: Progress | None = None) -> str:
        """Store a file and return its URI; after a kill, another call goes on where this one was.

        What is there already is not sent again where it was found to be right, and replaced where it is not.

        Args:
            verify: what is there is read back and compared, whatever that costs; not the server's word.
        Raises:
            OSError: it cannot be read.
            BlobCorruptError: the store gives other bytes, whatever it is sent.
            StorageError: as `put`, or the file changed meanwhile.
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

    def run(self, uri: str, offset: int, length: int) -> Run:
        """Return `length` bytes from `offset` on, for the caller's own memory; raises as `open`."""

    def size(self, uri: str) -> int:
        """Return the length in bytes; raises as `open`."""

    def holds(self, uri: str, path: Path, *, verify: bool = False, progress: Progress | None = None) -> bool:
        """Whether the blob is here and is what a file has, as far as the store can tell at little cost.

        Args:
            verify: whatever it costs: all of it is read back.
        Raises:
            OSError: the file cannot be read.
            BlobUnreachableError: no usable answer.
            BadInputError: as `open`.
        """

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


def check_range(uri: str, size: int, offset: int, length: int | None) -> int:
    """Return how many bytes a range has; without `length` it goes to the end.

    Raises:
        BadInputError: it is not within the blob's `size` bytes.
    """
    wanted = size - offset if length is None else length
    if offset < 0 or wanted < 0 or offset + wanted > size:
        raise BadInputError("range", f"{offset} + {length} bytes", f"within the {size} bytes of {uri}")
    return wanted


def pieces(run: Run, wanted: int, uri: str) -> Iterator[bytes]:
    """Give a run's `wanted` bytes in pieces of `CHUNK_BYTES`, and close it.

    Raises:
        BlobUnreachableError: it ended early.
    """
    try:
        while wanted:
            buffer = memoryview(bytearray(min(wanted, CHUNK_BYTES)))
            filled = 0
            while filled < len(buffer):
                got = run.readinto(buffer[filled:])
                if not got:
                    missing = wanted - filled
                    raise BlobUnreachableError(f"{uri}: got {missing} bytes less than asked for")
                filled += got
            wanted -= filled
            yield bytes(buffer)
    finally:
        run.close()


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
