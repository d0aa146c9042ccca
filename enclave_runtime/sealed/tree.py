"""The digest of content: a hash tree over its segments (docs/protocol.md section 3.2).

    leaf = SHA-256(0x00 || BLAKE3-256(segment))       (SHA-256 of the segment in the FIPS profile)
    node = SHA-256(0x01 || left || right)             (the shape of RFC 6962)
    root = tagged("sealed-tree/v1", algorithm, segment bytes, length, top node)
    content digest = tagged("content/v1", algorithm, length, root, salt)

Empty content is one empty segment, so that every stream has a last segment. Segments can be hashed in any
order by whoever holds them (`leaf`, `LeafList`), or one after the other (`TreeHasher`).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from struct import iter_unpack
from typing import Final, Protocol, TypeAlias

import blake3

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import Octets
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged

__all__ = [
    "HASH_BYTES",
    "MAX_CONTENT_BYTES",
    "NO_SALT",
    "PAGE_LEAVES",
    "SEGMENT_BYTES",
    "Algorithm",
    "LeafFold",
    "LeafList",
    "TreeDigest",
    "TreeHasher",
    "check_geometry",
    "content_digest",
    "leaf",
    "leaf_hasher",
    "segment_count",
    "top_of",
]

HASH_BYTES: Final = 32
SEGMENT_BYTES: Final = 1 << 20
"""Segment size of every published digest; others exist for results and tests and give other roots."""
MAX_CONTENT_BYTES: Final = 1 << 44
NO_SALT: Final = bytes(32)
"""The salt of bare digests: engines, which anybody may compare with their source."""

PAGE_LEAVES: Final = 1 << 10
"""Leaves folded into one node as soon as all are in; a power of two, so that the node is one of the tree."""

_PAIR: Final = 2 * HASH_BYTES
_PAIR_FORMAT: Final = f"{_PAIR}s"
_MIN_SEGMENT: Final = 1 << 10
_MAX_SEGMENT: Final = 1 << 22


class Algorithm(Enum):
    """Hash of a segment; nodes are SHA-256 in both, so that the EVM's precompile can climb the tree."""

    BLAKE3 = "blake3"
    SHA256 = "sha256"


_Sha256: TypeAlias = Callable[[Octets], "_Hash"]


class _Hash(Protocol):
    def update(self, data: Octets, /) -> object: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class TreeDigest:
    """What a tree says of its content, before the salt hides it.

    Attributes:
        length: bytes of content.
        root: 32 bytes that bind algorithm, segment size, length and every segment. Of hiding content it
            is as private as the salt: it confirms a guess.
    """

    algorithm: Algorithm
    segment_bytes: int
    length: int
    root: bytes

    def content_digest(self, salt: bytes) -> bytes:
        """Return the 32 bytes that go on chain for this content under `salt`."""
        return content_digest(self.algorithm, self.length, self.root, salt)


def content_digest(algorithm: Algorithm, length: int, root: bytes, salt: bytes) -> bytes:
    """Return the content digest, 32 bytes (section 3.2).

    Args:
        length: bytes of content.
        root: `TreeDigest.root`.
        salt: 32 bytes; `NO_SALT` for engines, random and secret for models and datasets.
    Raises:
        WireError: `root` or `salt` is not 32 bytes.
    """
    if len(root) != HASH_BYTES or len(salt) != HASH_BYTES:
        raise WireError(f"content digest: got root of {len(root)} and salt of {len(salt)} bytes, expected 32")
    return tagged(labels.CONTENT, algorithm.value.encode(), length.to_bytes(8, "big"), root, salt)


def check_geometry(segment_bytes: int, length: int) -> None:
    """Refuse sizes outside the format before anything is allocated for them.

    Raises:
        WireError: `segment_bytes` is no power of two from 1 KiB to 4 MiB, or `length` is beyond 16 TiB.
    """
    if not _MIN_SEGMENT <= segment_bytes <= _MAX_SEGMENT or segment_bytes & (segment_bytes - 1):
        raise WireError(f"segment size: got {segment_bytes}, expected a power of two from 1 KiB to 4 MiB")
    if not 0 <= length <= MAX_CONTENT_BYTES:
        raise WireError(f"content length: got {length}, expected 0 to {MAX_CONTENT_BYTES}")


def segment_count(segment_bytes: int, length: int) -> int:
    """Return the number of segments of `length` bytes, at least one."""
    return max(1, -(-length // segment_bytes))


def leaf(algorithm: Algorithm, segment: Octets) -> bytes:
    """Return the leaf of one whole segment, 32 bytes. Drops the GIL while it hashes."""
    return leaf_hasher(algorithm)(segment)


def leaf_hasher(algorithm: Algorithm) -> Callable[[Octets], bytes]:
    """Return `leaf` of one algorithm, for a loop over many segments."""
    return _LEAF_HASHERS[algorithm]


def _blake3_leaf(segment: Octets, sha256: _Sha256 = hashlib.sha256) -> bytes:
    return sha256(b"\x00" + blake3.blake3(segment).digest()).digest()


def _sha256_leaf(segment: Octets, sha256: _Sha256 = hashlib.sha256) -> bytes:
    return sha256(b"\x00" + sha256(segment).digest()).digest()


_LEAF_HASHERS: Final = {Algorithm.BLAKE3: _blake3_leaf, Algorithm.SHA256: _sha256_leaf}


class LeafList:
    """Leaves that arrive in any order; 32 bytes for each segment."""

    def __init__(self, algorithm: Algorithm, segment_bytes: int, length: int) -> None:
        check_geometry(segment_bytes, length)
        self._algorithm = algorithm
        self._segment_bytes = segment_bytes
        self._length = length
        self._count = segment_count(segment_bytes, length)
        self._leaves = bytearray(HASH_BYTES * self._count)

    def __setitem__(self, index: int, value: bytes) -> None:
        self._leaves[self._slice(index)] = value

    def __getitem__(self, index: int) -> bytes:
        return bytes(self._leaves[self._slice(index)])

    def __len__(self) -> int:
        return self._count

    def load(self, leaves: Octets) -> None:
        """Take all leaves at once.

        Raises:
            WireError: not exactly 32 bytes for each segment.
        """
        if len(leaves) != len(self._leaves):
            raise WireError(f"leaf list: got {len(leaves)} bytes, expected {len(self._leaves)}")
        self._leaves[:] = leaves

    def to_bytes(self) -> bytes:
        """Return the leaves one after the other."""
        return bytes(self._leaves)

    def top(self) -> bytes:
        """Return the top node: the tree alone, nothing bound to it yet."""
        return top_of(self._leaves)

    def digest(self) -> TreeDigest:
        """Return the digest of the content whose leaves these are."""
        return _bind(self._algorithm, self._segment_bytes, self._length, self.top())

    def _slice(self, index: int) -> slice:
        if not 0 <= index < self._count:
            raise IndexError(f"got leaf {index}, expected 0 to {self._count - 1}")
        return slice(HASH_BYTES * index, HASH_BYTES * (index + 1))


class LeafFold:
    """Leaves that arrive in any order and are forgotten page by page; for content of any length.

    A page of 1024 leaves takes 32 bytes once it is full, so leaves that come about in order take 32 bytes for
    each GiB. Each leaf is set once. May be used from several threads.
    """

    def __init__(self, algorithm: Algorithm, segment_bytes: int, length: int) -> None:
        check_geometry(segment_bytes, length)
        self._algorithm = algorithm
        self._segment_bytes = segment_bytes
        self._length = length
        self._count = segment_count(segment_bytes, length)
        self._open: dict[int, tuple[bytearray, list[int]]] = {}
        self._tops = bytearray(HASH_BYTES * -(-self._count // PAGE_LEAVES))
        self._left = self._count
        self._lock = threading.Lock()

    def __setitem__(self, index: int, value: bytes) -> None:
        self.put(index, (value,))

    def put(self, first: int, values: Sequence[bytes]) -> None:
        """Set neighbouring leaves, from `first` on.

        Raises:
            IndexError: beyond the last leaf.
        """
        if first < 0 or first + len(values) > self._count:
            raise IndexError(f"got leaves {first} to {first + len(values)}, expected 0 to {self._count}")
        done = 0
        while done < len(values):
            page, place = divmod(first + done, PAGE_LEAVES)
            part = values[done : done + PAGE_LEAVES - place]
            self._put_in_page(page, place, b"".join(part), len(part))
            done += len(part)

    def _put_in_page(self, page: int, place: int, values: bytes, count: int) -> None:
        with self._lock:
            opened = self._open.get(page)
            if opened is None:
                size = min(PAGE_LEAVES, self._count - page * PAGE_LEAVES)
                opened = self._open[page] = (bytearray(HASH_BYTES * size), [size])
            leaves, left = opened
            leaves[HASH_BYTES * place : HASH_BYTES * (place + count)] = values
            left[0] -= count
            self._left -= count
            if left[0]:
                return
            del self._open[page]
        self._tops[HASH_BYTES * page : HASH_BYTES * (page + 1)] = top_of(leaves)

    def top(self) -> bytes:
        """Return the top node; for use when every leaf is in.

        Raises:
            RuntimeError: leaves are missing.
        """
        if self._left:
            raise RuntimeError(f"leaf fold: {self._left} of {self._count} leaves are missing")
        return top_of(self._tops)

    def digest(self) -> TreeDigest:
        """Return the digest of the content whose leaves these are; errors as `top`."""
        return _bind(self._algorithm, self._segment_bytes, self._length, self.top())


class TreeHasher:
    """Digest of content that comes in order, in pieces of any size; memory does not grow with it."""

    def __init__(self, algorithm: Algorithm = Algorithm.BLAKE3, segment_bytes: int = SEGMENT_BYTES) -> None:
        check_geometry(segment_bytes, 0)
        self._algorithm = algorithm
        self._segment_bytes = segment_bytes
        self._stack = _Stack()
        self._segment = _new_hash(algorithm)
        self._filled = 0
        self._length = 0

    def update(self, data: Octets) -> None:
        """Take the next bytes of the content."""
        rest = memoryview(data)
        self._length += len(rest)
        while rest:
            piece = rest[: self._segment_bytes - self._filled]
            self._segment.update(piece)
            self._filled += len(piece)
            rest = rest[len(piece) :]
            if self._filled == self._segment_bytes:
                self._close_segment()

    def finish(self) -> TreeDigest:
        """Return the digest of everything taken; call once, last.

        Raises:
            WireError: more than 16 TiB came.
        """
        check_geometry(self._segment_bytes, self._length)
        if self._filled or not self._length:
            self._close_segment()
        return _bind(self._algorithm, self._segment_bytes, self._length, self._stack.top())

    def _close_segment(self) -> None:
        self._stack.push(_leaf_of(self._segment))
        self._segment = _new_hash(self._algorithm)
        self._filled = 0


class _Stack:
    """The right edge of a growing RFC 6962 tree: one node for each set bit of the number of leaves."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._count = 0

    def push(self, node: bytes) -> None:
        carry = self._count
        while carry & 1:
            node = _node(self._nodes.pop(), node)
            carry >>= 1
        self._nodes.append(node)
        self._count += 1

    def top(self) -> bytes:
        node = self._nodes[-1]
        for left in reversed(self._nodes[:-1]):
            node = _node(left, node)
        return node


def top_of(nodes: Octets) -> bytes:
    """Return the node above `nodes`, 32 bytes each, at least one.

    Pairs are joined level by level and a last one without a partner moves up: the shape of RFC 6962.
    """
    level = bytes(nodes)
    sha256 = hashlib.sha256
    while len(level) > HASH_BYTES:
        pairs = len(level) - len(level) % _PAIR
        joined = [sha256(b"\x01" + pair).digest() for (pair,) in iter_unpack(_PAIR_FORMAT, level[:pairs])]
        level = b"".join(joined) + level[pairs:]
    return level


def _bind(algorithm: Algorithm, segment_bytes: int, length: int, top: bytes) -> TreeDigest:
    sizes = (segment_bytes.to_bytes(8, "big"), length.to_bytes(8, "big"))
    root = tagged(labels.TREE, algorithm.value.encode(), *sizes, top)
    return TreeDigest(algorithm, segment_bytes, length, root)


def _new_hash(algorithm: Algorithm) -> _Hash:
    return blake3.blake3() if algorithm is Algorithm.BLAKE3 else hashlib.sha256()


def _leaf_of(segment: _Hash) -> bytes:
    return hashlib.sha256(b"\x00" + segment.digest()).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
