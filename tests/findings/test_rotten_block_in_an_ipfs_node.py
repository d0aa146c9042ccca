"""The defect: a block that had rotted inside an IPFS node stayed rotten, whatever was pushed.

The node says of it that it is there and pinned, so `author push` sent nothing, said "was there already", and
every download failed at that block. Sent again, the node skipped it: it has that name. Now `push --verify`
reads back what is there and mends it, and manifests, which are one block, are always read back.
"""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from enclave_runtime.wire.offers import OfferKind
from marketplace.cli.main import run
from marketplace.sdk import containers
from marketplace.storage.base import BlobCorruptError, BlobUnreachableError, Chunk, DishonestServerError
from marketplace.storage.cid import RAW, Cid
from marketplace.storage.ipfs import IpfsStore
from marketplace.storage.kubo import Kubo
from marketplace.storage.mending import Mending
from marketplace.storage.patience import Patience
from tests.fakes.sealing_home import make_home, make_rows
from tests.integration.storage.conftest import IpfsNode

pytestmark = pytest.mark.integration
MIB = 1 << 20
QUICK = Patience(tries=1)
DATA = random.Random(8).randbytes(10 * MIB + 5)


class Node:
    """A node, and the folder in which its blocks lie."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.process = IpfsNode(repo)
        self.api = self.process.api

    def files(self) -> dict[bytes, Path]:
        """The files of the blocks, by what is in them."""
        return {path.read_bytes(): path for path in (self.repo / "blocks").rglob("*.data")}

    def wipe(self) -> None:
        for path in [*(self.repo / "blocks").rglob("*.data"), *(self.repo / "pins").iterdir()]:
            path.unlink()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("node") / "repo")
    try:
        yield made
    finally:
        made.process.stop()


@pytest.fixture
def path(node: Node, tmp_path: Path) -> Path:
    node.wipe()
    made = tmp_path / "file"
    made.write_bytes(DATA)
    return made


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty(file: Path) -> None:
    file.write_bytes(b"")


DAMAGES = [flip, cut, empty]


def whole(store: IpfsStore, uri: str) -> bytes:
    return b"".join(store.open(uri))


@pytest.mark.parametrize("which", ["first leaf", "last leaf", "root"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_push_that_verifies_mends_it(
    node: Node, path: Path, damage: Callable[[Path], None], which: str
) -> None:
    store = IpfsStore(node.api, QUICK)
    uri = store.push(path)
    leaves = {"first leaf": DATA[:MIB], "last leaf": DATA[10 * MIB :]}
    files = node.files()
    (root,) = [file for data, file in files.items() if len(data) < MIB and data != leaves["last leaf"]]
    damage(files[leaves[which]] if which in leaves else root)
    fresh = IpfsStore(node.api, QUICK)
    with pytest.raises((BlobCorruptError, DishonestServerError, BlobUnreachableError)):
        whole(fresh, uri)
    assert not fresh.holds(uri, path, verify=True)
    if which == "first leaf":
        # What it was like, and still is unless it is asked for: the node's word costs nothing.
        assert fresh.push(path) == uri and fresh.holds(uri, path)
        with pytest.raises((BlobCorruptError, BlobUnreachableError)):
            whole(fresh, uri)
    assert fresh.push(path, verify=True) == uri
    assert whole(IpfsStore(node.api, QUICK), uri) == DATA
    assert fresh.holds(uri, path, verify=True)
    assert uri.removeprefix("ipfs://") in fresh.node.pins()


def test_what_is_right_is_not_written_again_and_what_is_missing_is(node: Node, path: Path) -> None:
    store = IpfsStore(node.api, QUICK)
    assert not store.holds(store.push(path), tmp_other(path), verify=True)
    files = node.files()
    files[DATA[3 * MIB : 4 * MIB]].unlink()
    before = {file: file.stat().st_mtime_ns for file in node.files().values()}
    uri = store.push(path, verify=True)
    assert whole(store, uri) == DATA
    assert before.items() <= {file: file.stat().st_mtime_ns for file in node.files().values()}.items()
    assert len(node.files()) == len(files)


def tmp_other(path: Path) -> Path:
    other = path.with_name("other")
    other.write_bytes(DATA[:-1] + b"x")
    return other


def test_the_hint_of_a_failed_download_says_what_to_do(node: Node, path: Path) -> None:
    store = IpfsStore(node.api, QUICK)
    uri = store.push(path)
    flip(node.files()[DATA[MIB : 2 * MIB]])
    with pytest.raises(BlobCorruptError) as caught:
        whole(store, uri)
    assert "push FILE --verify" in caught.value.hint


def test_a_small_blob_is_always_mended(node: Node, tmp_path: Path) -> None:
    node.wipe()
    store = IpfsStore(node.api, QUICK)
    uri = store.put([b"a manifest"])
    flip(node.files()[b"a manifest"])
    assert store.put([b"a manifest"]) == uri
    assert whole(store, uri) == b"a manifest"


def test_a_block_that_another_pin_holds_is_said_so(node: Node, path: Path) -> None:
    store = IpfsStore(node.api, QUICK)
    uri = store.push(path)
    other = path.with_name("longer")
    other.write_bytes(DATA[: 2 * MIB])
    store.push(other)
    flip(node.files()[DATA[:MIB]])
    with pytest.raises(BlobCorruptError, match="indirect") as caught:
        store.push(path, verify=True)
    assert "ipfs repo verify" in caught.value.hint
    store.delete(store.put([DATA[: 2 * MIB]]))
    assert store.push(path, verify=True) == uri
    assert whole(store, uri) == DATA


def test_author_push_mends_and_says_that_it_sent(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node.wipe()
    home = tmp_path / "home"
    session = make_home(home)
    (settings,) = home.glob("*.toml")
    settings.write_text(f'{settings.read_text()}\n[storage.ipfs]\napi = "{node.api}"\n')
    made = containers.seal(session, make_rows(tmp_path / "rows", 3 * MIB), OfferKind.DATASET, tmp_path / "x")
    words = ["--home", str(home), "author", "push", str(made.path), "--to", "ipfs", "--json"]
    assert run(words) == 0
    first = json.loads(capsys.readouterr().out)
    stream = made.path.read_bytes()
    for data, file in node.files().items():
        if data == stream[:MIB] or (data not in stream and len(data) != MIB):
            flip(file)  # a leaf, the root, and the manifest
    assert run([*words, "--verify"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["sent"] and again["sealed"] == first["sealed"] and again["manifest"] == first["manifest"]
    store = IpfsStore(node.api, QUICK)
    assert whole(store, first["sealed"]) == stream
    assert whole(store, first["manifest"])
    assert run([*words, "--verify"]) == 0
    assert not json.loads(capsys.readouterr().out)["sent"]


class Liar:
    """Stands before a node and changes one block on its way."""

    def __init__(self, api: str, cid: Cid) -> None:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kind = {"Content-Type": self.headers.get("Content-Type") or ""}
                answer = httpx.post(f"{api}{self.path}", content=body, headers=kind, timeout=20)
                data = answer.content
                if "block/get" in self.path and str(cid) in self.path and answer.status_code == 200:
                    data = bytes([data[0] ^ 1]) + data[1:]
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.api = f"http://127.0.0.1:{self.server.server_port}"


def test_a_node_that_lies_is_said_so(node: Node, path: Path) -> None:
    IpfsStore(node.api, QUICK).push(path)
    liar = Liar(node.api, Cid.of(RAW, DATA[:MIB]))
    try:
        with pytest.raises(BlobCorruptError, match="after it was put again") as caught:
            IpfsStore(liar.api, QUICK).push(path, verify=True)
        assert "push to another node" in caught.value.hint
    finally:
        liar.server.shutdown()
        liar.server.server_close()


class Overwriting(Kubo):
    """A node that writes what it is given over what it has, as kubo does unless it is told otherwise."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", QUICK)
        self.right: set[Cid] = set()

    def keeps(self, cid: Cid) -> bool | None:
        return cid in self.right

    def put_blocks(self, codec: int, blocks: Sequence[tuple[Cid, Chunk]]) -> None:
        self.right |= {cid for cid, _ in blocks}

    def unpin(self, cid: Cid) -> None:
        raise AssertionError("it need not be unpinned")


def test_a_node_that_overwrites_needs_no_more_than_the_block() -> None:
    cid = Cid.of(RAW, b"x")
    node = Overwriting()
    assert Mending(node, cid, lambda ask: ask()).lacking(RAW, [(cid, b"x")]) == []
    assert node.right == {cid}


def test_a_node_that_is_gone_is_no_rot(path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(BlobUnreachableError, match="expected an answer"):
        IpfsStore(f"http://127.0.0.1:{port}", QUICK).push(path, verify=True)
