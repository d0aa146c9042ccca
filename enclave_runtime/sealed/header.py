"""The header of a sealed stream, where its parts lie, what is public about it (docs/protocol.md section 3.3).

    stream  = header (52 bytes) || segments || index
    header  = "CLOISTER" || version || cipher || hash || log2(segment bytes) (each u8) || length u64 || salt
    segment = AES-256-GCM ciphertext || tag (16)
    index   = one 32-byte leaf for each segment, over its ciphertext and tag

The index lets anybody without a key, given the manifest's *ciphertext digest*, say which segment differs:
    ciphertext digest = tagged("sealed-ciphertext/v1", header, top node of the tree over the index)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final, Protocol

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import Octets
from enclave_runtime.sealed.ranges import Source
from enclave_runtime.sealed.tree import (
    HASH_BYTES,
    PAGE_LEAVES,
    Algorithm,
    LeafFold,
    LeafList,
    check_geometry,
    leaf,
    segment_count,
    top_of,
)
from enclave_runtime.wire.errors import EnclaveError, WireError
from enclave_runtime.wire.hashes import tagged
from enclave_runtime.wire.records import Hex32

__all__ = [
    "HEADER_BYTES",
    "TAG_BYTES",
    "CiphertextIndex",
    "CiphertextMismatchError",
    "Header",
    "Layout",
    "SealedInfo",
    "ciphertext_digest",
]

TAG_BYTES: Final = 16
_HEAD: Final = "header and index"
_PAGE_BYTES: Final = HASH_BYTES * PAGE_LEAVES
_KEPT_PAGES: Final = 64
_MAGIC: Final = b"CLOISTER"
_VERSION: Final = 1
_CIPHER_AES_256_GCM: Final = 1
_FORMAT: Final = struct.Struct(">8sBBBBQ32s")
HEADER_BYTES: Final = _FORMAT.size
_CODES: Final = {Algorithm.BLAKE3: 1, Algorithm.SHA256: 2}
_ALGORITHMS: Final = {code: algorithm for algorithm, code in _CODES.items()}


class CiphertextMismatchError(EnclaveError):
    """Bytes differ from what the ciphertext digest names: whoever carried them is at fault, fetch them again.

    Never a refusal: the owner's object may be perfect.

    Attributes:
        part: "header and index", or "segment".
        segment: number of the segment that differs, or None for the header and index.
    """

    def __init__(self, part: str, got: object, expected: object, *, segment: int | None = None) -> None:
        where = part if segment is None else f"{part} {segment}"
        super().__init__(f"ciphertext of the {where}: got {got}, expected {expected}")
        self.part = part
        self.segment = segment
        self.got = str(got)
        self.expected = str(expected)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a stream lie, computed from its two sizes alone. All numbers are bytes.

    Raises:
        WireError: sizes outside the format (`tree.check_geometry`).
    """

    segment_bytes: int
    plaintext_bytes: int
    segments: int = field(init=False, compare=False)
    """Number of segments, at least one."""

    def __post_init__(self) -> None:
        check_geometry(self.segment_bytes, self.plaintext_bytes)
        object.__setattr__(self, "segments", segment_count(self.segment_bytes, self.plaintext_bytes))

    @property
    def index_offset(self) -> int:
        """Where the segments end and the index starts."""
        return HEADER_BYTES + self.plaintext_bytes + TAG_BYTES * self.segments

    @property
    def index_bytes(self) -> int:
        """Length of the index."""
        return HASH_BYTES * self.segments

    @property
    def total_bytes(self) -> int:
        """Length of the whole stream."""
        return self.index_offset + self.index_bytes

    def plaintext_range(self, segment: int) -> tuple[int, int]:
        """Return (offset, length) of a segment in the plaintext."""
        if not 0 <= segment < self.segments:
            raise IndexError(f"got segment {segment}, expected 0 to {self.segments - 1}")
        offset = segment * self.segment_bytes
        return offset, min(self.segment_bytes, self.plaintext_bytes - offset)

    def segment_range(self, segment: int) -> tuple[int, int]:
        """Return (offset, length) of a segment, tag included, in the stream."""
        offset, length = self.plaintext_range(segment)
        return HEADER_BYTES + offset + TAG_BYTES * segment, length + TAG_BYTES


@dataclass(frozen=True, slots=True)
class Header:
    """The first bytes of a stream; keys are derived under all of them, so none can be changed.

    Attributes:
        salt: 32 random bytes, new for every sealing: they make the archive key, hence the nonces, unique.
    """

    algorithm: Algorithm
    segment_bytes: int
    plaintext_bytes: int
    salt: bytes

    def __post_init__(self) -> None:
        check_geometry(self.segment_bytes, self.plaintext_bytes)
        if len(self.salt) != HASH_BYTES:
            raise WireError(f"stream salt: got {len(self.salt)} bytes, expected 32")

    @property
    def layout(self) -> Layout:
        """Where the parts of the stream lie."""
        return Layout(self.segment_bytes, self.plaintext_bytes)

    def to_bytes(self) -> bytes:
        """Return the 52 bytes."""
        codes = (_VERSION, _CIPHER_AES_256_GCM, _CODES[self.algorithm], self.segment_bytes.bit_length() - 1)
        return _FORMAT.pack(_MAGIC, *codes, self.plaintext_bytes, self.salt)

    @classmethod
    def from_bytes(cls, data: Octets) -> Header:
        """Return the header that `data`, exactly 52 bytes, encodes.

        Raises:
            WireError: other length, magic, version, cipher or hash, or sizes outside the format.
        """
        if len(data) != HEADER_BYTES:
            raise WireError(f"stream header: got {len(data)} bytes, expected {HEADER_BYTES}")
        magic, version, cipher, code, log2_segment, length, salt = _FORMAT.unpack(data)
        if magic != _MAGIC or version != _VERSION or cipher != _CIPHER_AES_256_GCM or code not in _ALGORITHMS:
            raise WireError(f"stream header: got {bytes(data[:11]).hex()}, expected version 1, AES-256-GCM")
        return cls(_ALGORITHMS[code], 1 << min(log2_segment, 63), length, salt)


@dataclass(frozen=True, slots=True)
class SealedInfo:
    """What may be public about one sealed stream: what a manifest, or a report on a result, says of it.

    Attributes:
        content_digest: 32 bytes, over the plaintext and the hiding salt (section 3.2).
        ciphertext_digest: 32 bytes, over header and ciphertext; tells the host's fault from the owner's.
        key_commitment: 32 bytes; only one content key opens this stream.
    """

    algorithm: Algorithm
    segment_bytes: int
    plaintext_bytes: int
    content_digest: Hex32
    ciphertext_digest: Hex32
    key_commitment: Hex32

    def __post_init__(self) -> None:
        check_geometry(self.segment_bytes, self.plaintext_bytes)
        for name in ("content_digest", "ciphertext_digest", "key_commitment"):
            if len(getattr(self, name)) != HASH_BYTES:
                raise WireError(f"{name}: got {len(getattr(self, name))} bytes, expected 32")

    @property
    def layout(self) -> Layout:
        """Where the parts of the stream lie."""
        return Layout(self.segment_bytes, self.plaintext_bytes)

    @property
    def ciphertext_bytes(self) -> int:
        """Length of the whole stream, header and index included."""
        return self.layout.total_bytes


class CiphertextIndex:
    """The header and index of one stream, proven to be those that a ciphertext digest names. Needs no key.

    An agent checks with it that it holds every ciphertext; the loader finds with it who is at fault. Made of
    bytes it keeps the index, 32 bytes for each segment. Made by `read` it keeps 32 bytes for each 1024
    segments, reads the page of the index that a check needs once more, and proves that page.
    """

    def __init__(self, header: Octets, index: Octets, info: SealedInfo) -> None:
        """Check the parts against `info`.

        Raises:
            CiphertextMismatchError: they are not the ones that `info.ciphertext_digest` names.
        """
        self._algorithm = info.algorithm
        self._layout = info.layout
        if len(header) != HEADER_BYTES or len(index) != self._layout.index_bytes:
            got = f"{len(header)} and {len(index)} bytes"
            expected = f"{HEADER_BYTES} and {self._layout.index_bytes}"
            raise CiphertextMismatchError(_HEAD, got, expected)
        self._pages: _Pages = _HeldPages(bytes(index))
        self._prove(header, top_of(index), info)

    @classmethod
    def read(cls, source: Source, info: SealedInfo) -> CiphertextIndex:
        """Read header and index from `source`, a page at a time, and check them as the constructor does."""
        made = cls.__new__(cls)
        made._algorithm = info.algorithm
        made._layout = info.layout
        header = bytearray(HEADER_BYTES)
        got = source.read_at(0, memoryview(header))
        if got != HEADER_BYTES:
            raise CiphertextMismatchError(_HEAD, f"{got} bytes of header", str(HEADER_BYTES))
        pages = _SourcePages(source, made._layout)
        made._pages = pages
        made._prove(header, top_of(pages.tops), info)
        return made

    def _prove(self, header: Octets, top: bytes, info: SealedInfo) -> None:
        self.header = bytes(header)
        got = tagged(labels.CIPHERTEXT, self.header, top)
        if got != info.ciphertext_digest:
            raise CiphertextMismatchError(_HEAD, got.hex(), info.ciphertext_digest.hex())

    def check(self, segment: int, ciphertext: Octets) -> None:
        """Check one segment, tag included.

        Raises:
            CiphertextMismatchError: it differs from what the owner sealed, or there is no such segment; or
                the index does not read as it did.
        """
        if not 0 <= segment < self._layout.segments:
            expected = f"at most {self._layout.segments} segments"
            raise CiphertextMismatchError("segment", "one more", expected, segment=segment)
        _, length = self._layout.segment_range(segment)
        if len(ciphertext) != length:
            raise CiphertextMismatchError(
                "segment", f"{len(ciphertext)} bytes", f"{length} bytes", segment=segment
            )
        got, expected_leaf = leaf(self._algorithm, ciphertext), self._leaf(segment)
        if got != expected_leaf:
            raise CiphertextMismatchError(
                "segment", f"leaf {got.hex()}", f"leaf {expected_leaf.hex()}", segment=segment
            )

    def _leaf(self, segment: int) -> bytes:
        page, place = divmod(segment, PAGE_LEAVES)
        return self._pages.page(page)[HASH_BYTES * place : HASH_BYTES * (place + 1)]


class _Pages(Protocol):
    """The proven leaves of an index, by pages."""

    def page(self, number: int) -> bytes: ...


class _HeldPages:
    def __init__(self, index: bytes) -> None:
        self._index = index

    def page(self, number: int) -> bytes:
        return self._index[number * _PAGE_BYTES : (number + 1) * _PAGE_BYTES]


class _SourcePages:
    """Pages that are read when they are needed and compared with what was proven; the last few are kept."""

    def __init__(self, source: Source, layout: Layout) -> None:
        self._source = source
        self._layout = layout
        self._kept: dict[int, bytes] = {}
        tops = []
        for number in range(-(-layout.segments // PAGE_LEAVES)):
            page = self._read(number)
            tops.append(top_of(page))
            self._keep(number, page)
        self.tops = b"".join(tops)

    def page(self, number: int) -> bytes:
        page = self._kept.get(number)
        if page is None:
            page = self._read(number)
            proven = self.tops[HASH_BYTES * number : HASH_BYTES * (number + 1)]
            if top_of(page) != proven:
                raise CiphertextMismatchError(_HEAD, "another index than before", "the same")
            self._keep(number, page)
        return page

    def _keep(self, number: int, page: bytes) -> None:
        if len(self._kept) >= _KEPT_PAGES:
            self._kept.clear()
        self._kept[number] = page

    def _read(self, number: int) -> bytes:
        start = number * _PAGE_BYTES
        page = bytearray(min(_PAGE_BYTES, self._layout.index_bytes - start))
        got = self._source.read_at(self._layout.index_offset + start, memoryview(page))
        if got != len(page):
            raise CiphertextMismatchError(
                _HEAD, f"{start + got} bytes of index", str(self._layout.index_bytes)
            )
        return bytes(page)


def ciphertext_digest(header: bytes, leaves: LeafFold | LeafList) -> bytes:
    """Return the ciphertext digest, 32 bytes, of a stream with this header and these leaves."""
    return tagged(labels.CIPHERTEXT, header, leaves.top())
