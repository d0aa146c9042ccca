"""Blobs in IPFS: `ipfs://CID` (docs/protocol.md section 10).

Names are computed here, with fixed parameters (`unixfs`), and compared with what the node says. A blob is
read through the tree of its blocks: each block is compared with the link that names it before any of its
bytes is given out, so parts are verified as well as the whole.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from io import RawIOBase
from itertools import chain, islice
from pathlib import Path
from typing import Final, TypeVar

from marketplace.errors import BadInputError
from marketplace.storage.base import (
    BlobCorruptError,
    Chunk,
    Progress,
    StorageError,
    check_range,
    pieces,
)
from marketplace.storage.behind import Behind
from marketplace.storage.body import HttpRun
from marketplace.storage.cid import DAG_PB, RAW, Cid
from marketplace.storage.kubo import PUSH_AGAIN, Kubo
from marketplace.storage.mending import Mending
from marketplace.storage.patience import SYSTEM, Patience, Shell
from marketplace.storage.retry import with_patience
from marketplace.storage.unixfs import LEAF_BYTES, Node, Tree, parse_node

__all__ = ["SCHEME", "IpfsStore"]

SCHEME: Final = "ipfs"
_PREFIX: Final = "ipfs://"
_BATCH: Final = 8
"""Blocks of one call."""
_AT_ONCE: Final = 2
"""Calls at once: while the node writes the blocks of one, it takes those of the other."""
_MAX_NODES: Final = 64
_MAX_DEPTH: Final = 16

T = TypeVar("T")


class IpfsStore:
    """A `BlobStore` behind one IPFS node."""

    def __init__(self, api: str, patience: Patience | None = None, shell: Shell = SYSTEM) -> None:
        """Take the address of a node's API.

        Raises:
            BadInputError: not http://HOST:PORT.
        """
        self._patience = patience or Patience()
        self._shell = shell
        self.node = Kubo(api, self._patience, shell)
        self._nodes: dict[Cid, Node] = {}
        self._lock = threading.Lock()

    @property
    def scheme(self) -> str:
        """`ipfs`."""
        return SCHEME

    def put(self, chunks: Iterable[Chunk]) -> str:
        """Store and pin the concatenation of `chunks`; see `BlobStore.put`.

        Blocks that the node has from an earlier attempt are not sent again: it is asked for them until one is
        missing, since what was killed left what comes first. What is one block, as manifests are, is always
        read back and mended.
        """
        return self._put(chunks, None)

    def push(self, path: Path, *, verify: bool = False, progress: Progress | None = None) -> str:
        """Store and pin a file; what an earlier attempt brought to the node is not sent again.

        Args:
            verify: the file is read twice, and every block that the node has is read back and mended.
        """
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if not verify:
                return self._put(_read_file(file, size, progress), None)
            root = _root_of(_read_file(file, size, progress))
            file.seek(0)
            uri = self._put(_read_file(file, size, progress), self._mending(root))
        if uri != _PREFIX + str(root):
            raise StorageError(
                f"{path}: got other bytes on the second reading, expected a file that nobody writes",
                hint="push it again when it is finished",
            )
        return uri

    def _put(self, chunks: Iterable[Chunk], mending: Mending | None) -> str:
        leaves = _leaves(chunks)
        first = list(islice(leaves, 2))
        if len(first) == 1:
            cid = Cid.of(RAW, first[0])
            self._mending(cid).lacking(RAW, [(cid, first[0])])
            self._compare(self._again(lambda: self.node.add_small(bytes(first[0]))), cid)
            return _PREFIX + str(cid)
        tree = Tree()
        nodes: list[tuple[Cid, Chunk]] = []
        rest = _Rest(lambda cid: self._again(lambda: self.node.has_block(cid)))
        with Behind(_AT_ONCE) as sending:
            for batch in _batches(chain(first, leaves)):
                for cid, leaf in batch:
                    nodes += tree.add_leaf(cid, len(leaf))
                left = batch if mending else rest.of(batch)
                sending.submit(partial(self._send, RAW, left, mending))
        root, above = tree.finish()
        nodes += above
        for at in range(0, len(nodes), _BATCH):
            batch = nodes[at : at + _BATCH]
            self._send(DAG_PB, batch if mending else rest.of(batch), mending)
        self._again(lambda: self.node.pin(root))
        return _PREFIX + str(root)

    def open(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Return the blob or a part of it, verified either way; see `BlobStore.open`."""
        wanted = check_range(uri, self.size(uri), offset, length)
        return pieces(self.run(uri, offset, wanted), wanted, uri)

    def run(self, uri: str, offset: int, length: int) -> TreeRun:
        """Return a part of the blob, verified block by block; see `BlobStore.run`."""
        root = _cid_of(uri)
        check_range(uri, self._size(root), offset, length)
        return TreeRun(self, root, offset, length)

    def size(self, uri: str) -> int:
        """Return the length in bytes, as the blob's own root block says; see `BlobStore.size`."""
        return self._size(_cid_of(uri))

    def holds(self, uri: str, path: Path, *, verify: bool = False, progress: Progress | None = None) -> bool:
        """Whether the node has the blob's root, of a file's length; with `verify`, all is read back."""
        cid = _cid_of(uri)
        if not verify:
            return self._again(lambda: self.node.has_block(cid)) and self._size(cid) == path.stat().st_size
        mending = self._mending(cid)
        with open(path, "rb", buffering=0) as file:
            tree, nodes = Tree(), []
            for leaf in _leaves(_read_file(file, os.fstat(file.fileno()).st_size, progress)):
                name = Cid.of(RAW, leaf)
                if not mending.keeps(name):
                    return False
                nodes += [node for node, _ in tree.add_leaf(name, len(leaf))]
        root, above = tree.finish()
        return root == cid and all(mending.keeps(node) for node in [*nodes, *(name for name, _ in above)])

    def exists(self, uri: str) -> bool:
        """Return whether the node itself has the blob's root."""
        return self.node.has_block(_cid_of(uri))

    def delete(self, uri: str) -> None:
        """Unpin a blob: the node's next collection removes it; no error if it was not pinned."""
        self.node.unpin(_cid_of(uri))

    def load(self, cid: Cid) -> Node:
        """Return a block's node, compared with its name; a raw block is one without links."""
        with self._lock:
            known = self._nodes.get(cid)
        if known is not None:
            return known
        block = self.node.block(cid)
        node = Node((), block) if cid.codec == RAW else parse_node(block)
        with self._lock:
            while len(self._nodes) >= _MAX_NODES:
                del self._nodes[next(iter(self._nodes))]
            if node.links:
                self._nodes[cid] = node
        return node

    def _size(self, root: Cid) -> int:
        return self.load(root).content_bytes

    def _send(self, codec: int, blocks: list[tuple[Cid, Chunk]], mending: Mending | None = None) -> None:
        if mending is not None:
            blocks = mending.lacking(codec, blocks)
        if blocks:
            self._again(lambda: self.node.put_blocks(codec, blocks))

    def _mending(self, root: Cid) -> Mending:
        return Mending(self.node, root, self._again)

    def _again(self, ask: Callable[[], T]) -> T:
        return with_patience(ask, self._patience, self._shell)

    def _compare(self, got: str, expected: Cid) -> None:
        if got != str(expected):
            raise BlobCorruptError(
                f"IPFS node: got CID {got[:80]}, expected {expected}",
                hint="this node cuts files in another way than it was asked to; use kubo 0.35 or newer",
            )


class _Rest:
    """What of an upload is to be sent: all from the first block on that the node does not have."""

    def __init__(self, has: Callable[[Cid], bool]) -> None:
        self._has = has
        self._begun = False

    def of(self, blocks: list[tuple[Cid, Chunk]]) -> list[tuple[Cid, Chunk]]:
        """Return those of the next blocks that are to be sent."""
        known = 0
        while not self._begun and known < len(blocks):
            self._begun = not self._has(blocks[known][0])
            known += not self._begun
        return blocks[known:]


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A leaf of a tree, and where its bytes are in the file; those of a wrapped leaf came with it."""

    cid: Cid
    start: int
    length: int
    data: bytes | None


class TreeRun:
    """A `Run` over the leaves of a tree: raw ones come by `cat`, and each is compared before it is given."""

    def __init__(self, store: IpfsStore, root: Cid, offset: int, length: int) -> None:
        self._store = store
        self._root = root
        self._end = offset + length
        self._at = offset
        node = store.load(root)
        self._size = node.content_bytes
        self._leaves = self._walk(root, 0, node, offset, 0) if length else iter(())
        self._ready = memoryview(b"")
        self._buffer = memoryview(b"")
        self._body: HttpRun | None = None
        self._body_at = self._body_end = 0

    def readinto(self, buffer: memoryview) -> int:
        """See `Run.readinto`.

        Raises:
            BlobCorruptError: a leaf differs from the link that names it.
        """
        if not self._ready and self._at < self._end:
            leaf = next(self._leaves)
            data = memoryview(leaf.data if leaf.data is not None else self._fetch(leaf))
            self._ready = data[self._at - leaf.start : self._end - leaf.start]
        got = min(len(buffer), len(self._ready))
        buffer[:got] = self._ready[:got]
        self._ready = self._ready[got:]
        self._at += got
        return got

    def close(self) -> None:
        """Give up what did not come yet."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _walk(self, cid: Cid, start: int, node: Node, offset: int, depth: int) -> Iterator[_Leaf]:
        """Give the leaves from `offset` on, in order."""
        if depth > _MAX_DEPTH:
            raise BlobCorruptError(f"{self._root}: got a tree of more than {_MAX_DEPTH} levels")
        if not node.links:
            yield _Leaf(cid, start, len(node.data), node.data)
            return
        for link in node.links:
            end = start + link.content_bytes
            # What has no bytes is not looked at: trees of nothing but that have no end.
            if link.content_bytes and end > offset and start < self._end:
                if link.cid.codec == RAW:
                    yield _Leaf(link.cid, start, link.content_bytes, None)
                else:
                    child = self._store.load(link.cid)
                    if child.content_bytes != link.content_bytes:
                        raise BlobCorruptError(f"{link.cid}: got another size than its parent says")
                    yield from self._walk(link.cid, start, child, offset, depth + 1)
            start = end

    def _fetch(self, leaf: _Leaf) -> memoryview:
        """Return a raw leaf's bytes out of the running `cat`, once they are what its link says."""
        if leaf.length > 2 * LEAF_BYTES:
            raise BlobCorruptError(f"{leaf.cid}: got a leaf of {leaf.length} bytes, expected at most 2 MiB")
        if len(self._buffer) < leaf.length:
            self._buffer = memoryview(bytearray(leaf.length))
        view, filled = self._buffer[: leaf.length], 0
        while filled < leaf.length:
            filled += self._read(leaf.start + filled, view[filled:], leaf.length)
        if hashlib.sha256(view).digest() != leaf.cid.digest:
            got_cid = Cid.of(RAW, view)
            raise BlobCorruptError(
                f"{self._root} at byte {leaf.start}: got a block {got_cid}, expected {leaf.cid}",
                hint=PUSH_AGAIN,
            )
        return view

    def _read(self, at: int, buffer: memoryview, leaf_bytes: int) -> int:
        """Read from byte `at` on, out of the running answer, or of a new one where that has another place."""
        if self._body is None or self._body_at != at or at == self._body_end:
            self.close()
            # To the end of the last leaf, if all are as long as this one; else once more from there.
            wanted = max(-(-(self._end - at) // leaf_bytes) * leaf_bytes, len(buffer))
            self._body_at, self._body_end = at, min(at + wanted, self._size)
            self._body = self._store.node.cat(self._root, at, self._body_end - at)
        got = self._body.readinto(buffer[: self._body_end - at])
        self._body_at += got
        return got


def _leaves(chunks: Iterable[Chunk]) -> Iterator[memoryview]:
    """Give the leaves of a file, at least one, each in memory of its own."""
    leaf, filled = memoryview(bytearray(LEAF_BYTES)), 0
    given = False
    for chunk in chunks:
        left = memoryview(chunk)
        while left:
            took = min(len(left), LEAF_BYTES - filled)
            leaf[filled : filled + took] = left[:took]
            filled, left = filled + took, left[took:]
            if filled == LEAF_BYTES:
                yield leaf
                leaf, filled, given = memoryview(bytearray(LEAF_BYTES)), 0, True
    if filled or not given:
        yield leaf[:filled]


def _batches(leaves: Iterable[Chunk]) -> Iterator[list[tuple[Cid, Chunk]]]:
    """Give leaves with their names, some at a time."""
    batch: list[tuple[Cid, Chunk]] = []
    for leaf in leaves:
        batch.append((Cid.of(RAW, leaf), leaf))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _root_of(chunks: Iterable[Chunk]) -> Cid:
    """Return the name of a file, which is stored nowhere."""
    tree = Tree()
    for leaf in _leaves(chunks):
        for _ in tree.add_leaf(Cid.of(RAW, leaf), len(leaf)):
            """A node in the middle, which the root names."""
    return tree.finish()[0]


def _read_file(file: RawIOBase, size: int, progress: Progress | None) -> Iterator[bytes]:
    """Give a file's bytes; `progress` hears of those that were taken, which are stored or soon will be."""
    done = 0
    while piece := file.read(LEAF_BYTES):
        yield piece
        done += len(piece)
        if progress is not None:
            progress(done, size)


def _cid_of(uri: str) -> Cid:
    if not uri.startswith(_PREFIX):
        raise BadInputError("blob URI", repr(uri[:100]), "ipfs://CID")
    return Cid.parse(uri[len(_PREFIX) :])
