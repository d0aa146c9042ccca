"""Two IPFS nodes: what one stores the other one gives, verified block by block; names are the node's own."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from marketplace.errors import BadInputError
from marketplace.storage.base import (
    BlobCorruptError,
    BlobNotFoundError,
    BlobUnreachableError,
    DishonestServerError,
    StorageError,
)
from marketplace.storage.cid import Cid
from marketplace.storage.ipfs import IpfsStore
from marketplace.storage.patience import Patience
from marketplace.storage.transfer import transfer
from tests.fakes.sealed_blob import sealed_blob
from tests.integration.storage.conftest import IpfsNode

pytestmark = pytest.mark.integration
MIB = 1 << 20
QUICK = Patience(tries=2, first_pause_s=0.01, answer_s=20, stall_s=20)


@pytest.fixture
def stores(ipfs_nodes: tuple[IpfsNode, IpfsNode]) -> Iterator[tuple[IpfsStore, IpfsStore]]:
    first, second = (IpfsStore(node.api, QUICK) for node in ipfs_nodes)
    with closing(first.node), closing(second.node):
        yield first, second


def chunks(data: bytes, size: int = 300_000) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("length", [0, 1, MIB, 3 * MIB - 3])
def test_one_stores_and_the_other_gives(stores: tuple[IpfsStore, IpfsStore], length: int) -> None:
    one, two = stores
    data = random.Random(length).randbytes(length)
    uri = one.put(chunks(data))
    assert one.exists(uri)
    assert one.size(uri) == two.size(uri) == length
    assert b"".join(two.open(uri)) == data
    assert (
        b"".join(one.open(uri, offset=length // 3, length=length // 2)) == data[length // 3 :][: length // 2]
    )
    assert uri.removeprefix("ipfs://") in one.node.pins()


@pytest.mark.parametrize("length", [0, MIB, MIB + 1])
def test_names_are_those_of_the_node_itself(
    ipfs_nodes: tuple[IpfsNode, IpfsNode], stores: tuple[IpfsStore, IpfsStore], length: int
) -> None:
    data = random.Random(length + 1).randbytes(length)
    profile = {"cid-version": "1", "chunker": "size-1048576", "max-file-links": "1024", "pin": "false"}
    answer = httpx.post(f"{ipfs_nodes[0].api}/api/v0/add", params=profile, files={"file": data})
    assert stores[0].put([data]) == f"ipfs://{answer.json()['Hash']}"


def test_reads_what_others_cut_in_other_ways(
    ipfs_nodes: tuple[IpfsNode, IpfsNode], stores: tuple[IpfsStore, IpfsStore]
) -> None:
    data = random.Random(2).randbytes(MIB + 77)
    old = {"cid-version": "0", "chunker": "size-262144"}
    odd = {"cid-version": "1", "chunker": "size-100000", "max-file-links": "4"}
    for how in (old, odd):
        answer = httpx.post(f"{ipfs_nodes[0].api}/api/v0/add", params=how, files={"file": data})
        uri = f"ipfs://{answer.json()['Hash']}"
        assert stores[1].size(uri) == len(data)
        assert b"".join(stores[1].open(uri)) == data
        assert b"".join(stores[1].open(uri, offset=262_143, length=700_000)) == data[262_143:962_143]


def test_a_sealed_stream_comes_over_two_nodes(stores: tuple[IpfsStore, IpfsStore]) -> None:
    one, two = stores
    blob = sealed_blob(3 * MIB + 5, MIB)
    uri = one.put(chunks(blob.stream))
    fed: dict[int, bytes] = {}

    class Sink:
        def begin(self, header: memoryview, index: memoryview) -> None:
            assert header == blob.stream[:52]

        def feed(self, segment: int, ciphertext: memoryview) -> None:
            fed[segment] = bytes(ciphertext)

        def missing(self) -> range:
            return range(blob.info.layout.segments)

    transfer([uri], lambda _: two, blob.info, Sink(), run_bytes=MIB)
    assert b"".join(fed[number] for number in sorted(fed)) == blob.stream[52 : blob.info.layout.index_offset]


def test_an_upload_sends_no_block_twice(stores: tuple[IpfsStore, IpfsStore]) -> None:
    one, _ = stores
    data = random.Random(3).randbytes(18 * MIB)
    sent = 0
    put = one.node.put_blocks

    def counted(codec: int, blocks: list[bytes]) -> None:
        nonlocal sent
        sent += len(blocks)
        put(codec, blocks)

    one.node.put_blocks = counted  # type: ignore[method-assign,assignment]

    def killed() -> Iterator[bytes]:
        yield from chunks(data[: 17 * MIB])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one.put(killed())
    assert sent in (8, 16)  # the second batch may not have been begun
    uri = one.put(chunks(data))
    assert sent == 19  # 18 leaves and the root
    assert one.put(chunks(data)) == uri
    assert sent == 19


def test_asks_for_blocks_until_one_is_missing(stores: tuple[IpfsStore, IpfsStore]) -> None:
    one, _ = stores
    data = random.Random(7).randbytes(10 * MIB)
    old = one.put(chunks(data[: 3 * MIB]))
    asked = 0
    has = one.node.has_block

    def counted(cid: Cid) -> bool:
        nonlocal asked
        asked += 1
        return has(cid)

    one.node.has_block = counted  # type: ignore[method-assign]
    uri = one.put(chunks(data))
    assert asked == 4  # three leaves that are there, and the first one that is not
    one.delete(old)
    one.node.call("repo/gc")
    assert b"".join(one.open(uri)) == data


def test_what_is_unpinned_goes_at_the_next_collection(stores: tuple[IpfsStore, IpfsStore]) -> None:
    one, _ = stores
    kept, gone = (one.put([random.Random(seed).randbytes(MIB + 5)]) for seed in (4, 5))
    one.delete(gone)
    one.delete(gone)
    one.node.call("repo/gc")
    assert one.exists(kept)
    assert not one.exists(gone)


def test_a_blob_that_nobody_has_is_not_found(ipfs_nodes: tuple[IpfsNode, IpfsNode]) -> None:
    absent = f"ipfs://{Cid.of(0x55, b'nobody has this')}"
    assert not IpfsStore(ipfs_nodes[0].api, QUICK).exists(absent)
    alone = IpfsStore(ipfs_nodes[0].api, Patience(tries=1, answer_s=1, stall_s=1))
    with pytest.raises((BlobNotFoundError, BlobUnreachableError)) as caught:
        alone.size(absent)
    assert caught.value.hint


def test_a_node_that_is_not_there_is_said_so() -> None:
    store = IpfsStore("http://127.0.0.1:9", Patience(tries=1, answer_s=1))
    for ask in (lambda: store.put([b"x"]), lambda: store.size(f"ipfs://{Cid.of(0x55, b'')}")):
        with pytest.raises(BlobUnreachableError, match="expected an answer") as caught:
            ask()
        assert "ipfs-node" in caught.value.hint


class LyingNode:
    """Stands before a node and changes its answers."""

    def __init__(self, api: str, lie: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                body = b""
                if self.headers.get("Transfer-Encoding"):
                    while (size := int(self.rfile.readline(), 16)) > 0:
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kind = {"Content-Type": self.headers.get("Content-Type") or ""}
                answer = httpx.post(f"{api}{self.path}", content=body, headers=kind, timeout=20)
                data = answer.content
                if lie in self.path and answer.status_code == 200:
                    place = data.find(b'"baf') + 20 if b'"baf' in data[:200] else len(data) - 9
                    data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.mark.parametrize("lie", ["block/get", "/cat"])
def test_believes_no_node_that_gives_other_bytes(ipfs_nodes: tuple[IpfsNode, IpfsNode], lie: str) -> None:
    data = random.Random(6).randbytes(3 * MIB)
    uri = IpfsStore(ipfs_nodes[0].api, QUICK).put([data])
    liar = LyingNode(ipfs_nodes[0].api, lie)
    try:
        with pytest.raises((BlobCorruptError, DishonestServerError), match="expected ba") as caught:
            list(IpfsStore(liar.api, QUICK).open(uri))
        assert caught.value.hint
    finally:
        liar.server.shutdown()
        liar.server.server_close()


@pytest.mark.parametrize(("length", "lie"), [(5, "/add"), (2 * MIB, "block/put")])
def test_believes_no_node_that_gives_other_names(
    ipfs_nodes: tuple[IpfsNode, IpfsNode], length: int, lie: str
) -> None:
    liar = LyingNode(ipfs_nodes[0].api, lie)
    try:
        with pytest.raises(StorageError):
            IpfsStore(liar.api, QUICK).put([random.Random(time.time()).randbytes(length)])
    finally:
        liar.server.shutdown()
        liar.server.server_close()


@pytest.mark.parametrize("uri", ["ipfs:x", "ipfs://", "ipfs://x", "ipfs://Qm", "file:sha256/00"])
def test_refuses_other_uris(stores: tuple[IpfsStore, IpfsStore], uri: str) -> None:
    with pytest.raises(BadInputError):
        stores[0].size(uri)


@pytest.mark.parametrize("api", ["", "127.0.0.1:5001", "ftp://x", "http://h/path"])
def test_refuses_other_addresses_of_an_api(api: str) -> None:
    with pytest.raises(BadInputError):
        IpfsStore(api)
