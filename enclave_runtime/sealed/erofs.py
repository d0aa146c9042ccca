"""A tree as an EROFS image, in exactly one way (docs/protocol.md section 3.1; Linux's read-only file system).

    block 0    superblock at 1024, zeros around it; blocks of 4096 bytes
    inodes     64 bytes each, in the order of the archive, the root first
    folders    the names of each, sorted by their bytes, from a block of its own
    links      the target of each, from a block of its own
    files      the content of each, from a block of its own, uncompressed, zeros after it

Zero times and owners, modes as in the archive, nothing optional: no checksum, no compression, no extended
attributes. The kernel is handed an image only after all but the files was compared with what this module
makes of the same entries, so nobody's own structures reach the kernel's parser.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from enclave_runtime.sealed.tarformat import Entry, Kind
from enclave_runtime.wire.errors import WireError

__all__ = ["BLOCK_BYTES", "INODE_BYTES", "ROOT_OFFSET", "Plan", "child_names", "inode_fields", "plan"]

BLOCK_BYTES: Final = 4096
INODE_BYTES: Final = 64
ROOT_OFFSET: Final = BLOCK_BYTES
_SUPER_OFFSET: Final = 1024
_SUPER: Final = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQB23s")
_INODE: Final = struct.Struct("<HHHHQIIIIQII16s")
_DIRENT: Final = struct.Struct("<QHBB")
_MAGIC: Final = 0xE0F5E1E2
_BLOCK_BITS: Final = 12
_NID_BYTES: Final = 32
_EXTENDED_PLAIN: Final = 1
_TYPES: Final = {Kind.FILE: (1, 0o100000), Kind.DIRECTORY: (2, 0o040000), Kind.SYMLINK: (7, 0o120000)}
_ROOT: Final = Entry("", Kind.DIRECTORY)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything lies. `metadata` is the image up to the first file's content."""

    metadata: bytes
    files: tuple[tuple[Entry, int], ...]
    length: int


def plan(entries: Sequence[Entry]) -> Plan:
    """Return the image of these entries, sorted as `archive` gives them, but for the content of files.

    Memory is some hundred bytes for each entry.

    Raises:
        WireError: more than the format's 2^32 blocks.
    """
    everything = (_ROOT, *entries)
    children, parents = _children(everything)
    data = {number: _folder(everything, number, children, parents) for number in children}
    data |= {number: e.target.encode() for number, e in enumerate(everything) if e.kind is Kind.SYMLINK}
    order = sorted(data, key=lambda number: (everything[number].kind is Kind.SYMLINK, number))
    position = ROOT_OFFSET + _rounded(INODE_BYTES * len(everything))
    starts = [0] * len(everything)
    for number in order:
        starts[number] = position
        position += _rounded(len(data[number]))
    content_start = position
    for number, entry in enumerate(everything):
        if entry.kind is Kind.FILE and entry.size:
            starts[number] = position
            position += _rounded(entry.size)
    if position >> _BLOCK_BITS >= 1 << 32:
        raise WireError(f"image: got {position} bytes, expected less than 2^32 blocks of {BLOCK_BYTES}")
    metadata = bytearray(content_start)
    metadata[_SUPER_OFFSET : _SUPER_OFFSET + _SUPER.size] = _superblock(len(everything), position)
    for number, entry in enumerate(everything):
        size = len(data[number]) if number in data else entry.size
        links = 2 + sum(everything[child].kind is Kind.DIRECTORY for child in children.get(number, ()))
        at = ROOT_OFFSET + INODE_BYTES * number
        metadata[at : at + INODE_BYTES] = _inode(entry, number, size, starts[number], links)
    for number, content in data.items():
        metadata[starts[number] : starts[number] + len(content)] = content
    files = tuple((e, starts[number]) for number, e in enumerate(everything) if e.kind is Kind.FILE)
    return Plan(bytes(metadata), files, position)


def inode_fields(inode: bytes) -> tuple[int, int, int]:
    """Return mode, size and start in bytes of 64 bytes of inode, whatever they say; `plan` is what judges."""
    fields = _INODE.unpack(inode)
    return fields[2], fields[4], fields[5] << _BLOCK_BITS


def child_names(block: bytes) -> Iterator[tuple[bytes, int]]:
    """Give each name in one block of a folder with the number of its inode, as far as it can be read.

    Raises:
        WireError: offsets that lead nowhere.
    """
    count = _DIRENT.unpack_from(block)[1] // _DIRENT.size if len(block) >= _DIRENT.size else 0
    if not 0 < count * _DIRENT.size <= len(block):
        raise WireError("image: got a folder without entries")
    found = [_DIRENT.unpack_from(block, at * _DIRENT.size) for at in range(count)]
    ends = [*(offset for _, offset, _, _ in found[1:]), len(block.rstrip(b"\x00"))]
    for (nid, offset, _, _), end in zip(found, ends, strict=True):
        if not offset < end <= len(block):
            raise WireError("image: got a name outside of its folder")
        yield block[offset:end], (nid * _NID_BYTES - ROOT_OFFSET) // INODE_BYTES


def _children(everything: Sequence[Entry]) -> tuple[dict[int, list[int]], dict[int, int]]:
    """Return the numbers of what lies in each folder, and of the folder that each folder lies in."""
    folders: dict[str, int] = {"": 0}
    children: dict[int, list[int]] = {0: []}
    parents = {0: 0}
    for number, entry in enumerate(everything[1:], 1):
        parent = folders[entry.name.rpartition("/")[0]]
        children[parent].append(number)
        if entry.kind is Kind.DIRECTORY:
            folders[entry.name] = number
            children[number] = []
            parents[number] = parent
    return children, parents


def _folder(
    everything: Sequence[Entry], number: int, children: dict[int, list[int]], parents: dict[int, int]
) -> bytes:
    parent = parents[number]
    names = [(b".", number, Kind.DIRECTORY), (b"..", parent, Kind.DIRECTORY)]
    names += [
        (everything[one].name.rpartition("/")[2].encode(), one, everything[one].kind)
        for one in children[number]
    ]
    blocks: list[list[tuple[bytes, int, Kind]]] = [[]]
    room = BLOCK_BYTES
    for item in sorted(names):
        needed = _DIRENT.size + len(item[0])
        if needed > room:
            blocks.append([])
            room = BLOCK_BYTES
        blocks[-1].append(item)
        room -= needed
    whole = [_folder_block(block) for block in blocks]
    return b"".join(block.ljust(BLOCK_BYTES, b"\x00") for block in whole[:-1]) + whole[-1]


def _folder_block(items: list[tuple[bytes, int, Kind]]) -> bytes:
    offset = _DIRENT.size * len(items)
    head = b""
    for name, number, kind in items:
        nid = (ROOT_OFFSET + INODE_BYTES * number) // _NID_BYTES
        head += _DIRENT.pack(nid, offset, _TYPES[kind][0], 0)
        offset += len(name)
    return head + b"".join(name for name, _, _ in items)


def _superblock(count: int, length: int) -> bytes:
    root = ROOT_OFFSET // _NID_BYTES
    head = (_MAGIC, 0, 0, _BLOCK_BITS, 0, root, count, 0, 0, length >> _BLOCK_BITS, 0, 0)
    return _SUPER.pack(*head, bytes(16), bytes(16), 0, 0, 0, 0, 0, 0, 0, 0, 0, bytes(23))


def _inode(entry: Entry, number: int, size: int, start: int, links: int) -> bytes:
    mode = _TYPES[entry.kind][1] | entry.mode
    count = links if entry.kind is Kind.DIRECTORY else 1
    block = start >> _BLOCK_BITS
    return _INODE.pack(_EXTENDED_PLAIN, 0, mode, 0, size, block, number + 1, 0, 0, 0, 0, count, bytes(16))


def _rounded(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES
