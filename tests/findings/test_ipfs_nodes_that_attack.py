"""What an IPFS node could do to whoever reads from it: fill its memory, keep it for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from marketplace.errors import MarketError
from marketplace.storage.base import (
    BlobUnreachableError,
)
from marketplace.storage.cid import DAG_PB, RAW, Cid
from marketplace.storage.ipfs import IpfsStore
from marketplace.storage.kubo import Kubo
from marketplace.storage.unixfs import Link, _encode
from tests.fakes.endless_server import CHUNKS, HURRIED, LINE, ONCE, PLAIN, REFUSED, endless, given_up


class MemoryNode(Kubo):
    """A node of some blocks."""

    def __init__(self, blocks: dict[Cid, bytes]) -> None:
        super().__init__("http://127.0.0.1:9", ONCE)
        self.blocks = blocks
        self.asked = 0

    def block(self, cid: Cid) -> bytes:
        self.asked += 1
        assert self.asked < 1000, "it goes on for ever"
        return self.blocks[cid]


def test_a_tree_of_nothing_is_not_walked() -> None:
    """Before: a root over 10^12 nodes without a byte kept its reader busy for good, and never stalled."""
    blocks: dict[Cid, bytes] = {}

    def add(links: list[Link]) -> Link:
        block = _encode(links)
        cid = Cid.of(DAG_PB, block)
        blocks[cid] = block
        return Link(cid, sum(link.content_bytes for link in links), len(block))

    empty = Link(Cid.of(RAW, b""), 0, 0)
    nothing = add([empty] * 1000)
    for _ in range(3):
        nothing = add([nothing] * 1000)
    wrapped = b"\x0a\x68\x08\x02\x12\x64" + b"y" * 100
    cid = Cid.of(DAG_PB, wrapped)
    blocks[cid] = wrapped
    root = add([Link(cid, 100, 106), *[nothing] * 1000, empty, Link(cid, 100, 106)])
    store = IpfsStore("http://127.0.0.1:9", ONCE)
    store.node = MemoryNode(blocks)
    assert b"".join(store.open(f"ipfs://{root.cid}")) == b"y" * 200


NODE_ASKS: dict[str, Callable[[Kubo], Any]] = {
    "stat": lambda node: node.has_block(Cid.of(RAW, b"")),
    "get": lambda node: node.block(Cid.of(RAW, b"")),
    "keeps": lambda node: node.keeps(Cid.of(RAW, b"")),
    "put": lambda node: node.put_blocks(RAW, [(Cid.of(RAW, b"x"), b"x")]),
    "call": lambda node: node.call("swarm/peers"),
    "pin": lambda node: node.pin(Cid.of(RAW, b"")),
}


@pytest.mark.parametrize("begin", [PLAIN, CHUNKS, REFUSED], ids=["plain", "chunks", "refused"])
@pytest.mark.parametrize("name", ["stat", "get", "keeps", "put", "call"])
def test_a_node_whose_answer_has_no_end_fills_no_memory(name: str, begin: bytes) -> None:
    """Before: lines of JSON were collected for as long as the node sent them."""
    more = b"%x\r\n%s\r\n" % (len(LINE), LINE) if begin is CHUNKS else LINE
    with endless(begin, more) as port:
        node = Kubo(f"http://127.0.0.1:{port}", ONCE)
        began = time.monotonic()
        error: BaseException | None = None
        if name in ("stat", "keeps") and begin is REFUSED:
            assert not NODE_ASKS[name](node)
        else:
            error = given_up(lambda: NODE_ASKS[name](node), 60)
            assert isinstance(error, MarketError)
        assert time.monotonic() - began < 60


@pytest.mark.parametrize("begin", [PLAIN, b"HTTP/1.1 200 OK\r\nX-Slow: "], ids=["body", "head"])
@pytest.mark.parametrize("name", list(NODE_ASKS))
def test_a_node_that_drips_is_given_up(name: str, begin: bytes) -> None:
    """Before: a byte now and then kept every call to the node waiting, for ever."""
    with endless(begin, b" ", 0.1) as port:
        node = Kubo(f"http://127.0.0.1:{port}", HURRIED)
        assert isinstance(given_up(lambda: NODE_ASKS[name](node), 60), BlobUnreachableError)
