"""The structures that make an archive a file system (docs/protocol.md section 3.1; Linux's EROFS).

    0          superblock at 1024, zeros around it, `HEAD_BYTES` in all
    4096       the archive, byte for byte; each file's content stays where the archive has it
    then       one empty block, 64 bytes of inode for each entry, the root first
               the names of each folder, sorted by their bytes, and the target of each link, from blocks of
               their own

Blocks are of 512 bytes, as the archive's are, so content needs no copy (Linux 6.4). Zero times and owners,
modes as in the archive, nothing optional: no checksum, no compression, no extended attributes. Every byte of
structure is made here, from entries that were judged; nobody else's reaches the kernel's parser.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

from enclave_runtime.sealed.tarformat import BLOCK_BYTES, Entry, Kind, padding
from enclave_runtime.wire.errors import WireError

__all__ = ["HEAD_BYTES", "SUPER_OFFSET", "Placed", "structures"]

HEAD_BYTES: Final = 4096
"""Room before the archive. A page, so that writing whole segments behind it stays aligned."""
SUPER_OFFSET: Final = 1024
Placed: TypeAlias = tuple[Entry, int]
"""An entry, and where its content begins in the archive."""
_SUPER: Final = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQB23s")
_INODE: Final = struct.Struct("<HHHHQIIIIQII16s")
_DIRENT: Final = struct.Struct("<QHBB")
_MAGIC: Final = 0xE0F5E1E2
_BLOCK_BITS: Final = 9
_NID_BYTES: Final = 32
_MAX_BLOCKS: Final = 1 << 32
_EXTENDED_PLAIN: Final = 1
_TYPES: Final = {Kind.FILE: (1, 0o100000), Kind.DIRECTORY: (2, 0o040000), Kind.SYMLINK: (7, 0o120000)}
_ROOT: Final = Entry("", Kind.DIRECTORY)


def structures(placed: Sequence[Placed], length: int) -> tuple[bytes, bytes]:
    """Return the superblock, for `SUPER_OFFSET`, and what goes behind an archive of `length` bytes.

    Memory is some hundred bytes for each entry.

    Args:
        placed: in the archive's order, each folder before what lies in it.
    Raises:
        WireError: more than the format's 2^32 blocks.
    """
    everything = (_ROOT, *(entry for entry, _ in placed))
    children, parents = _children(everything)
    first = (HEAD_BYTES + length) >> _BLOCK_BITS
    position = _rounded(BLOCK_BYTES + _INODE.size * len(everything))
    inodes, data = [bytes(BLOCK_BYTES)], []
    for number, entry in enumerate(everything):
        if entry.kind is Kind.FILE:
            start, size = (HEAD_BYTES + placed[number - 1][1]) >> _BLOCK_BITS, entry.size
        else:
            own = entry.target.encode()
            if entry.kind is Kind.DIRECTORY:
                own = _folder(everything, number, children[number], parents[number])
            start, size = first + (position >> _BLOCK_BITS), len(own)
            data.append(own + bytes(padding(size)))
            position += _rounded(size)
        folders = sum(everything[child].kind is Kind.DIRECTORY for child in children.get(number, ()))
        links = 2 + folders if entry.kind is Kind.DIRECTORY else 1
        if start >= _MAX_BLOCKS:
            raise WireError(f"image: got content at block {start}, expected one below {_MAX_BLOCKS}")
        inodes.append(_inode(entry, number, size, start, links))
    inodes.append(bytes(padding(_INODE.size * len(everything))))
    position += -(HEAD_BYTES + length + position) % HEAD_BYTES  # whole pages, for loop devices
    behind = b"".join((*inodes, *data)).ljust(position, b"\x00")
    return _superblock(len(everything), first, first + (position >> _BLOCK_BITS)), behind


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


def _folder(everything: Sequence[Entry], number: int, children: list[int], parent: int) -> bytes:
    names = [(b".", number, Kind.DIRECTORY), (b"..", parent, Kind.DIRECTORY)]
    names += [
        (everything[one].name.rpartition("/")[2].encode(), one, everything[one].kind) for one in children
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
        head += _DIRENT.pack(_nid(number), offset, _TYPES[kind][0], 0)
        offset += len(name)
    return head + b"".join(name for name, _, _ in items)


def _superblock(count: int, first: int, blocks: int) -> bytes:
    head = (_MAGIC, 0, 0, _BLOCK_BITS, 0, _nid(0), count, 0, 0, blocks, first, 0)
    return _SUPER.pack(*head, bytes(16), bytes(16), 0, 0, 0, 0, 0, 0, 0, 0, 0, bytes(23))


def _inode(entry: Entry, number: int, size: int, block: int, links: int) -> bytes:
    mode = _TYPES[entry.kind][1] | entry.mode
    return _INODE.pack(_EXTENDED_PLAIN, 0, mode, 0, size, block, number + 1, 0, 0, 0, 0, links, bytes(16))


def _nid(number: int) -> int:
    """Return an inode's place. The root's is not 0: programs skip entries whose number is."""
    return (BLOCK_BYTES + _INODE.size * number) // _NID_BYTES


def _rounded(size: int) -> int:
    return size + padding(size)
