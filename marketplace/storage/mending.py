"""Blocks of an IPFS node read back, and put again where they are not what their names say.

A node believes of its own disk what it does not believe of a peer: it calls a block pinned and there whose
bytes have rotted, and skips it when it comes again. Only whoever has the right bytes can mend it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from marketplace.storage.base import BlobCorruptError, Chunk, StorageError
from marketplace.storage.cid import Cid
from marketplace.storage.kubo import Kubo

__all__ = ["Mending"]

_Look: TypeAlias = Callable[[], bool | None]
_BY_HAND: Final = (
    "this node keeps bytes that are not what their name says: look at its disk, mend it with "
    "`ipfs repo verify` and push again, or push to another node"
)


class Mending:
    """Compares what one node has of one tree with its names, and mends it; safe to use from several threads.

    To remove a block its tree must be unpinned for a moment: whoever mends pins the root at the end.
    """

    def __init__(self, node: Kubo, root: Cid, again: Callable[[_Look], bool | None]) -> None:
        """Take the node, the tree's root, and what asks again where that may help."""
        self._node = node
        self._root = root
        self._again = again

    def lacking(self, codec: int, blocks: Sequence[tuple[Cid, Chunk]]) -> list[tuple[Cid, Chunk]]:
        """Return those blocks that the node does not have; those that it has wrong are mended.

        Raises:
            BlobCorruptError: the node keeps other bytes, whatever is done.
            StorageError: no usable answer.
        """
        absent = []
        for cid, block in blocks:
            right = self.keeps(cid)
            if right is None:
                absent.append((cid, block))
            elif not right:
                self._mend(codec, cid, block)
        return absent

    def keeps(self, cid: Cid) -> bool | None:
        """Whether the node's own bytes of a block are right; None where it has none."""
        return self._again(lambda: self._node.keeps(cid))

    def _mend(self, codec: int, cid: Cid, block: Chunk) -> None:
        # A node that writes whatever it is given needs no more than this.
        self._node.put_blocks(codec, [(cid, block)])
        why = ""
        if not self.keeps(cid):
            # One that looks first whether it has the name has to lose it, which no pin allows.
            try:
                self._node.unpin(self._root)
                self._node.remove_block(cid)
            except StorageError as error:
                why = f"; {error}"
            self._node.put_blocks(codec, [(cid, block)])
            if not self.keeps(cid):
                raise BlobCorruptError(
                    f"block {cid} of {self._root}: got other bytes after it was put again, "
                    f"expected its own{why}"[:600],
                    hint=_BY_HAND,
                )
