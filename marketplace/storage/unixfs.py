"""Files as trees of blocks, with parameters that never change, so that bytes have one name. Pure.

The tree is that of the profile `unixfs-v1-2025` (IPIP-499): leaves are raw blocks of 1 MiB, a node links to
at most 1024 children, the tree is balanced, identifiers are CIDv1. Trees of other shapes are read as well:
what is read is compared with the identifiers of its blocks, whoever cut them.

    dag-pb node  = (2: link)* 1: data            link = 1: CID 2: name 3: size of everything below
    unixfs data  = 1: type 2: bytes 3: file size (4: size of a child)*
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from marketplace.storage.base import BlobCorruptError
from marketplace.storage.cid import DAG_PB, Cid

__all__ = ["LEAF_BYTES", "MAX_BLOCK_BYTES", "MAX_LINKS", "Link", "Node", "Tree", "parse_node"]

LEAF_BYTES: Final = 1 << 20
MAX_LINKS: Final = 1024
MAX_BLOCK_BYTES: Final = 2 << 20
"""No peer sends a longer block."""

_TYPE_RAW: Final = 0
_TYPE_FILE: Final = 2
_VARINT: Final = 0
_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Link:
    """A child: its name, how many bytes of the file are below it, and how many bytes of blocks."""

    cid: Cid
    content_bytes: int
    tree_bytes: int


@dataclass(frozen=True, slots=True)
class Node:
    """A block with links, or one with bytes wrapped up in it.

    Attributes:
        data: bytes of the file in this block; empty where there are links.
    """

    links: tuple[Link, ...]
    data: bytes

    @property
    def content_bytes(self) -> int:
        """Bytes of the file in and below this block."""
        return len(self.data) + sum(link.content_bytes for link in self.links)


class Tree:
    """The blocks above the leaves, made as leaves come; memory is one number of links for each level."""

    def __init__(self) -> None:
        self._levels: list[list[Link]] = [[]]
        self._leaves = 0

    def add_leaf(self, cid: Cid, length: int) -> Iterator[tuple[Cid, bytes]]:
        """Take the next leaf; give the blocks that it completes."""
        self._leaves += 1
        yield from self._add(0, Link(cid, length, length))

    def finish(self) -> tuple[Cid, list[tuple[Cid, bytes]]]:
        """Return the root's name and the blocks that were not given yet; an empty file is one empty leaf.

        Raises:
            ValueError: no leaf was added.
        """
        if not self._leaves:
            raise ValueError("tree: got no leaf, expected at least one")
        blocks: list[tuple[Cid, bytes]] = []
        level = 0
        while level < len(self._levels):
            links = self._levels[level]
            top = level == len(self._levels) - 1
            if top and len(links) == 1:
                return links[0].cid, blocks
            if links:
                self._levels[level] = []
                blocks += self._node(level, links)
            level += 1
        raise AssertionError("the top of a tree is one link")

    def _add(self, level: int, link: Link) -> Iterator[tuple[Cid, bytes]]:
        if level == len(self._levels):
            self._levels.append([])
        links = self._levels[level]
        if len(links) == MAX_LINKS:
            # Only now is it known that the node is not the root, which would have to be the last one given.
            self._levels[level] = []
            yield from self._node(level, links)
        self._levels[level].append(link)

    def _node(self, level: int, links: Sequence[Link]) -> Iterator[tuple[Cid, bytes]]:
        block = _encode(links)
        cid = Cid.of(DAG_PB, block)
        yield cid, block
        content = sum(link.content_bytes for link in links)
        below = len(block) + sum(link.tree_bytes for link in links)
        yield from self._add(level + 1, Link(cid, content, below))


def parse_node(block: bytes) -> Node:
    """Return the node that a dag-pb block is.

    Raises:
        BlobCorruptError: not dag-pb, not a file of UnixFS, or sizes that do not fit together.
    """
    links: list[tuple[Cid, int]] = []
    data: bytes | None = None
    for number, value in _fields(block):
        if number == 2 and isinstance(value, bytes):
            links.append(_link(value))
        elif number == 1 and isinstance(value, bytes) and data is None:
            data = value
        else:
            raise _bad(f"field {number} of a node")
    return _node_of(links, data or b"")


def _node_of(links: list[tuple[Cid, int]], data: bytes) -> Node:
    kind, content, said, sizes = -1, b"", -1, []
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2 and isinstance(value, bytes):
            content = value
        elif number == 3 and isinstance(value, int):
            said = value
        elif number == 4 and isinstance(value, int):
            sizes.append(value)
        # Modes and times, which later versions have, say nothing of the bytes.
    if kind not in (_TYPE_RAW, _TYPE_FILE):
        raise _bad(f"type {kind}, not a file")
    if len(sizes) != len(links) or (links and content):
        raise _bad(f"{len(sizes)} sizes for {len(links)} links")
    node = Node(
        tuple(Link(cid, size, below) for (cid, below), size in zip(links, sizes, strict=True)), content
    )
    if said not in (-1, node.content_bytes):
        raise _bad(f"a file of {said} bytes with {node.content_bytes} in it")
    return node


def _link(data: bytes) -> tuple[Cid, int]:
    cid, below = None, 0
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            cid = Cid.from_bytes(value)
        elif number == 3 and isinstance(value, int):
            below = value
        elif number != 2:
            raise _bad(f"field {number} of a link")
    if cid is None:
        raise _bad("a link without CID")
    return cid, below


def _encode(links: Sequence[Link]) -> bytes:
    unixfs = _field_int(1, _TYPE_FILE) + _field_int(3, sum(link.content_bytes for link in links))
    unixfs += b"".join(_field_int(4, link.content_bytes) for link in links)
    parts = []
    for link in links:
        inner = _field_bytes(1, link.cid.to_bytes()) + _field_bytes(2, b"") + _field_int(3, link.tree_bytes)
        parts.append(_field_bytes(2, inner))
    return b"".join(parts) + _field_bytes(1, unixfs)


def _field_int(number: int, value: int) -> bytes:
    return bytes([number << 3 | _VARINT]) + _varint(value)


def _field_bytes(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give (number, value) of each protobuf field."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        if kind not in (_VARINT, _BYTES):
            raise _bad(f"wire type {kind}")
        value, at = _read_varint(data, at)
        if kind == _VARINT:
            yield number, value
            continue
        if at + value > len(data):
            raise _bad("a field beyond the end")
        yield number, data[at : at + value]
        at += value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 63:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
        shift += 7
    raise _bad("a number without end")


def _bad(got: str) -> BlobCorruptError:
    return BlobCorruptError(f"block: got {got}, expected a node of a UnixFS file")
